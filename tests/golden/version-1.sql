PRAGMA application_id = 1380730950;
PRAGMA user_version = 1;
BEGIN TRANSACTION;
CREATE TABLE "_sqlite_migrations" (
   "id" INTEGER PRIMARY KEY,
   "migration_set" TEXT,
   "name" TEXT,
   "applied_at" TEXT
);
INSERT INTO "_sqlite_migrations" VALUES(1,'rlhf_lab','first_tables','2026-11-23 14:24:49.829945+00:00');
CREATE TABLE datasets (
            id INTEGER PRIMARY KEY AUTOINCREMENT,
            name TEXT NOT NULL,
            format TEXT NOT NULL,
            kind TEXT NOT NULL,
            source TEXT NOT NULL,
            sha256 TEXT NOT NULL,
            note TEXT NOT NULL,
            created REAL NOT NULL,
            owner TEXT,
            records INTEGER NOT NULL DEFAULT 0,
            train INTEGER NOT NULL DEFAULT 0,
            heldout INTEGER NOT NULL DEFAULT 0,
            problems INTEGER NOT NULL DEFAULT 0
        ) STRICT
        ;
INSERT INTO "datasets" VALUES(1,'answers','trl','pair','answers.jsonl','abababababababababababababababababababababababababababababababab','From a test.',1.7954438898311467171e+09,NULL,3,2,1,1);
INSERT INTO "datasets" VALUES(2,'prompts','prompts','prompt','','','',1.79544388984733176229e+09,NULL,1,1,0,0);
CREATE TABLE events (
            id INTEGER PRIMARY KEY,
            run INTEGER NOT NULL,
            attempt INTEGER NOT NULL,
            seq INTEGER NOT NULL,
            step INTEGER NOT NULL,
            kind TEXT NOT NULL,
            superseded INTEGER NOT NULL DEFAULT 0,
            body TEXT NOT NULL,
            UNIQUE (run, attempt, seq)
        ) STRICT
        ;
INSERT INTO "events" VALUES(1,1,1,1,0,'started',0,'{"step":0,"attempt":1,"seq":1,"time":0.0,"kind":"started","device":"cpu","versions":{},"parameters":{},"total_steps":2}');
INSERT INTO "events" VALUES(2,1,1,2,1,'metrics',0,'{"step":1,"attempt":1,"seq":2,"time":0.0,"kind":"metrics","values":{"train/loss":2.5}}');
INSERT INTO "events" VALUES(3,1,1,3,1,'finished',0,'{"step":1,"attempt":1,"seq":3,"time":0.0,"kind":"finished","outcome":"stopped","message":"as asked"}');
CREATE TABLE metric_names (id INTEGER PRIMARY KEY, name TEXT NOT NULL UNIQUE) STRICT;
INSERT INTO "metric_names" VALUES(1,'train/loss');
CREATE TABLE metrics (
            run INTEGER NOT NULL,
            metric INTEGER NOT NULL,
            step INTEGER NOT NULL,
            attempt INTEGER NOT NULL,
            value REAL,
            status TEXT,
            PRIMARY KEY (run, metric, step, attempt)
        ) STRICT, WITHOUT ROWID
        ;
INSERT INTO "metrics" VALUES(1,1,1,1,2.5,NULL);
CREATE TABLE problems (
            dataset INTEGER NOT NULL,
            number INTEGER NOT NULL,
            line INTEGER NOT NULL,
            reason TEXT NOT NULL,
            PRIMARY KEY (dataset, number)
        ) STRICT, WITHOUT ROWID
        ;
INSERT INTO "problems" VALUES(1,0,4,'''chosen'' is missing');
CREATE TABLE records (
            id INTEGER PRIMARY KEY,
            kind TEXT NOT NULL,
            split TEXT NOT NULL,
            prompt TEXT NOT NULL,
            body TEXT NOT NULL
        ) STRICT
        ;
INSERT INTO "records" VALUES(1099511627776,'pair','train','question 0','{"prompt":{"messages":[{"role":"user","content":"question 0"}],"tags":{}},"split":"train","tags":{"annotator":"Ada"},"kind":"pair","chosen":{"text":"yes 0","source":"m1"},"rejected":{"text":"no","source":""},"margin":null,"tie":false,"weight":1.0}');
INSERT INTO "records" VALUES(1099511627777,'pair','train','question 1','{"prompt":{"messages":[{"role":"user","content":"question 1"}],"tags":{}},"split":"train","tags":{"annotator":"Ada"},"kind":"pair","chosen":{"text":"yes 1","source":"m1"},"rejected":{"text":"no","source":""},"margin":null,"tie":false,"weight":1.0}');
INSERT INTO "records" VALUES(1099511627778,'pair','heldout','question 2','{"prompt":{"messages":[{"role":"user","content":"question 2"}],"tags":{}},"split":"heldout","tags":{"annotator":"Ada"},"kind":"pair","chosen":{"text":"yes 2","source":"m1"},"rejected":{"text":"no","source":""},"margin":null,"tie":false,"weight":1.0}');
INSERT INTO "records" VALUES(2199023255552,'prompt','train','Why?','{"prompt":{"messages":[{"role":"user","content":"Why?"}],"tags":{}},"split":"train","tags":{},"kind":"prompt"}');
CREATE TABLE runs (
            id INTEGER PRIMARY KEY AUTOINCREMENT,
            run TEXT NOT NULL UNIQUE,
            stage TEXT NOT NULL,
            dir TEXT NOT NULL,
            config TEXT NOT NULL,
            created REAL NOT NULL,
            outcome TEXT NOT NULL,
            message TEXT NOT NULL DEFAULT '',
            step INTEGER NOT NULL DEFAULT 0,
            total INTEGER NOT NULL DEFAULT 0,
            log_offset INTEGER NOT NULL DEFAULT 0
        ) STRICT
        ;
INSERT INTO "runs" VALUES(1,'sft-1','sft','runs/sft-1','{"stage": "sft"}',1.0,'stopped','as asked',0,2,30);
CREATE UNIQUE INDEX "idx__sqlite_migrations_migration_set_name"
    ON "_sqlite_migrations" ("migration_set", "name");
CREATE UNIQUE INDEX dataset_names ON datasets (name) WHERE owner IS NULL;
CREATE INDEX events_by_kind ON events (run, kind, attempt, seq);
DELETE FROM "sqlite_sequence";
INSERT INTO "sqlite_sequence" VALUES('datasets',2);
INSERT INTO "sqlite_sequence" VALUES('runs',1);
COMMIT;
