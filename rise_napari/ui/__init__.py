"""Parts of the window around the tabs: header, commands, shortcuts, introductions, icons, colours."""
