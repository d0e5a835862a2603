"""Work outside the thread of the window: the engine process, background threads, the garbage collector."""
