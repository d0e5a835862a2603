"""The tables of ``project.sqlite``, as migrations from one schema version to the next."""

from __future__ import annotations

MIGRATIONS: tuple[str, ...] = (
    """
    CREATE TABLE frames (
        id INTEGER PRIMARY KEY AUTOINCREMENT,
        name TEXT NOT NULL UNIQUE,
        sort_key TEXT NOT NULL,
        width INTEGER,
        height INTEGER,
        state TEXT NOT NULL DEFAULT 'unlabelled',
        split TEXT NOT NULL DEFAULT 'train',
        origin TEXT
    );
    CREATE INDEX frames_in_order ON frames (sort_key, name);
    CREATE TABLE categories (
        id INTEGER PRIMARY KEY,
        name TEXT NOT NULL,
        position INTEGER NOT NULL,
        extra TEXT NOT NULL DEFAULT '{}'
    );
    CREATE TABLE instances (
        id INTEGER PRIMARY KEY AUTOINCREMENT,
        frame INTEGER NOT NULL,
        category INTEGER NOT NULL,
        segmentation TEXT NOT NULL,
        score REAL,
        source TEXT NOT NULL,
        run INTEGER,
        crowd INTEGER NOT NULL DEFAULT 0,
        extra TEXT NOT NULL DEFAULT '{}',
        origin TEXT,
        bank_excluded INTEGER NOT NULL DEFAULT 0
    );
    CREATE INDEX instances_of_frame ON instances (frame);
    CREATE TABLE documents (
        id INTEGER PRIMARY KEY AUTOINCREMENT,
        name TEXT NOT NULL,
        content TEXT NOT NULL
    );
    CREATE TABLE predictions (
        id INTEGER PRIMARY KEY AUTOINCREMENT,
        frame INTEGER NOT NULL,
        run INTEGER NOT NULL,
        batch INTEGER NOT NULL,
        category INTEGER NOT NULL,
        segmentation TEXT NOT NULL,
        score REAL NOT NULL
    );
    CREATE INDEX predictions_of_frame ON predictions (frame, run);
    CREATE TABLE predicted (
        frame INTEGER NOT NULL,
        run INTEGER NOT NULL,
        batch INTEGER NOT NULL,
        PRIMARY KEY (frame, run)
    ) WITHOUT ROWID;
    CREATE TABLE runs (
        number INTEGER PRIMARY KEY AUTOINCREMENT,
        folder TEXT NOT NULL,
        preset TEXT NOT NULL,
        recipe TEXT NOT NULL,
        steps INTEGER NOT NULL,
        started TEXT NOT NULL,
        finished TEXT,
        base TEXT NOT NULL
    );
    CREATE TABLE settings (key TEXT PRIMARY KEY, value TEXT NOT NULL) WITHOUT ROWID;
    CREATE TABLE features (frame INTEGER PRIMARY KEY, vector BLOB NOT NULL);
    CREATE TABLE journal (
        id INTEGER PRIMARY KEY AUTOINCREMENT,
        time TEXT NOT NULL,
        action TEXT NOT NULL,
        frame INTEGER,
        status TEXT NOT NULL DEFAULT 'done'
    );
    CREATE TABLE changes (
        entry INTEGER NOT NULL,
        position INTEGER NOT NULL,
        kind TEXT NOT NULL,
        row INTEGER NOT NULL,
        image TEXT,
        PRIMARY KEY (entry, position)
    ) WITHOUT ROWID;
    """,
    """
    ALTER TABLE predicted ADD COLUMN disagreement REAL
    """,
    """
    ALTER TABLE journal ADD COLUMN person TEXT;
    CREATE INDEX journal_by_status ON journal (status, id)
    """,
    """
    CREATE TABLE imports (id INTEGER PRIMARY KEY AUTOINCREMENT, hidden INTEGER NOT NULL DEFAULT 1);
    ALTER TABLE instances ADD COLUMN import INTEGER;
    DROP INDEX instances_of_frame;
    CREATE INDEX instances_of_frame ON instances (frame, import)
    """,
    """
    CREATE TABLE replaced (
        instance INTEGER NOT NULL,
        import INTEGER NOT NULL,
        PRIMARY KEY (instance, import)
    ) WITHOUT ROWID
    """,
)
"""Migration i leads from version i to version i + 1; their number is the newest version."""

INSTANCES = (
    "(SELECT * FROM instances WHERE (import IS NULL OR import NOT IN (SELECT id FROM imports WHERE hidden)) "
    "AND NOT EXISTS (SELECT 1 FROM replaced JOIN imports ON imports.id = replaced.import "
    "WHERE replaced.instance = instances.id AND NOT imports.hidden)) AS instances"
)
"""Read from this instead of the table ``instances``: it excludes the rows of hidden imports, and the rows that shown
imports have replaced."""
