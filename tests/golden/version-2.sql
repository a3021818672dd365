PRAGMA application_id = 1380730950;
PRAGMA user_version = 2;
BEGIN TRANSACTION;
CREATE TABLE "_sqlite_migrations" (
   "id" INTEGER PRIMARY KEY,
   "migration_set" TEXT,
   "name" TEXT,
   "applied_at" TEXT
);
INSERT INTO "_sqlite_migrations" VALUES(1,'rlhf_lab','first_tables','2026-11-23 21:11:44.969193+00:00');
INSERT INTO "_sqlite_migrations" VALUES(2,'rlhf_lab','second_judgements_scores_and_edits','2026-11-23 21:11:44.970033+00:00');
CREATE TABLE annotators (id INTEGER PRIMARY KEY, name TEXT NOT NULL UNIQUE) STRICT;
INSERT INTO "annotators" VALUES(1,'Ada');
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
        , changes INTEGER NOT NULL DEFAULT 0, guidelines TEXT NOT NULL DEFAULT '') STRICT
        ;
INSERT INTO "datasets" VALUES(1,'answers','lab','pair','','','',1.79546830498612189287e+09,NULL,2,2,0,0,0,'');
CREATE TABLE edits (
            id INTEGER PRIMARY KEY,
            dataset INTEGER NOT NULL,
            step INTEGER NOT NULL,
            record INTEGER NOT NULL,
            undone INTEGER NOT NULL,
            before TEXT NOT NULL,
            after TEXT
        ) STRICT
        ;
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
INSERT INTO "events" VALUES(1,1,1,1,0,'started',0,'{"step":0,"attempt":1,"seq":1,"time":10.0,"kind":"started","device":"cpu","versions":{},"parameters":{},"total_steps":300}');
INSERT INTO "events" VALUES(2,1,1,2,1,'metrics',0,'{"step":1,"attempt":1,"seq":2,"time":11.0,"kind":"metrics","values":{"train/loss":2.5}}');
INSERT INTO "events" VALUES(3,1,1,3,100,'metrics',0,'{"step":100,"attempt":1,"seq":3,"time":12.0,"kind":"metrics","values":{"train/loss":2.0}}');
INSERT INTO "events" VALUES(4,1,1,4,127,'metrics',0,'{"step":127,"attempt":1,"seq":4,"time":13.0,"kind":"metrics","values":{"train/loss":"NaN"}}');
INSERT INTO "events" VALUES(5,1,1,5,128,'metrics',0,'{"step":128,"attempt":1,"seq":5,"time":14.0,"kind":"metrics","values":{"train/loss":1.5}}');
INSERT INTO "events" VALUES(6,1,1,6,300,'metrics',0,'{"step":300,"attempt":1,"seq":6,"time":15.0,"kind":"metrics","values":{"train/loss":0.5}}');
INSERT INTO "events" VALUES(7,1,1,9,300,'finished',0,'{"step":300,"attempt":1,"seq":9,"time":20.0,"kind":"finished","outcome":"done","message":"300 steps done."}');
CREATE TABLE gaps (block INTEGER PRIMARY KEY, removed INTEGER NOT NULL) STRICT;
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
INSERT INTO "metrics" VALUES(1,1,100,1,2.0,NULL);
INSERT INTO "metrics" VALUES(1,1,127,1,NULL,'nan');
INSERT INTO "metrics" VALUES(1,1,128,1,1.5,NULL);
INSERT INTO "metrics" VALUES(1,1,300,1,0.5,NULL);
CREATE TABLE problems (
            dataset INTEGER NOT NULL,
            number INTEGER NOT NULL,
            line INTEGER NOT NULL,
            reason TEXT NOT NULL,
            PRIMARY KEY (dataset, number)
        ) STRICT, WITHOUT ROWID
        ;
CREATE TABLE records (
            id INTEGER PRIMARY KEY,
            kind TEXT NOT NULL,
            split TEXT NOT NULL,
            prompt TEXT NOT NULL,
            body TEXT NOT NULL
        ) STRICT
        ;
INSERT INTO "records" VALUES(1099511627776,'pair','train','question 0','{"prompt":{"messages":[{"role":"user","content":"question 0"}],"tags":{}},"split":"train","tags":{},"kind":"pair","chosen":{"text":"yes","source":""},"rejected":{"text":"no","source":""},"margin":null,"tie":false,"weight":1.0}');
INSERT INTO "records" VALUES(1099511627777,'pair','train','question 1','{"prompt":{"messages":[{"role":"user","content":"question 1"}],"tags":{}},"split":"train","tags":{},"kind":"pair","chosen":{"text":"yes","source":""},"rejected":{"text":"no","source":""},"margin":null,"tie":false,"weight":1.0}');
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
INSERT INTO "runs" VALUES(1,'sft-1','sft','runs/sft-1','{"stage":"sft","dataset":"answers","note":"a first try"}',1.0,'done','300 steps done.',0,300,70);
CREATE TABLE score_sets (
            id INTEGER PRIMARY KEY AUTOINCREMENT,
            dataset INTEGER NOT NULL,
            model TEXT NOT NULL,
            UNIQUE (dataset, model)
        ) STRICT
        ;
CREATE TABLE scores (
            score_set INTEGER NOT NULL,
            record INTEGER NOT NULL,
            favourite INTEGER NOT NULL,
            gap REAL NOT NULL,
            margin REAL,
            scores TEXT NOT NULL,
            PRIMARY KEY (score_set, record)
        ) STRICT, WITHOUT ROWID
        ;
CREATE TABLE touched (record INTEGER PRIMARY KEY, change INTEGER NOT NULL) STRICT;
CREATE TABLE verdicts (
            id INTEGER PRIMARY KEY AUTOINCREMENT,
            dataset INTEGER NOT NULL,
            record INTEGER NOT NULL,
            annotator INTEGER NOT NULL,
            state TEXT NOT NULL,
            repeat INTEGER NOT NULL,
            queue TEXT NOT NULL,
            outcome TEXT NOT NULL,
            best INTEGER,
            body TEXT NOT NULL
        ) STRICT
        ;
INSERT INTO "verdicts" VALUES(1,1,1099511627776,1,'live',0,'unranked','2,1',1,'{"who":"Ada","when":1.0,"seconds":0.0,"shown_order":[],"verdict":"ranked","ranks":[2,1],"strength":1,"note":"","queue":"unranked","repeat":false}');
CREATE UNIQUE INDEX "idx__sqlite_migrations_migration_set_name"
    ON "_sqlite_migrations" ("migration_set", "name");
CREATE UNIQUE INDEX dataset_names ON datasets (name) WHERE owner IS NULL;
CREATE INDEX events_by_kind ON events (run, kind, attempt, seq);
CREATE INDEX verdicts_by_annotator ON verdicts (annotator, state, id);
CREATE INDEX verdicts_by_record ON verdicts (dataset, state, record, annotator, repeat, outcome, best, queue);
CREATE INDEX scores_by_gap ON scores (score_set, gap);
CREATE INDEX scores_by_margin ON scores (score_set, margin) WHERE margin < 0;
CREATE INDEX edits_by_step ON edits (dataset, undone, step);
DELETE FROM "sqlite_sequence";
INSERT INTO "sqlite_sequence" VALUES('datasets',1);
INSERT INTO "sqlite_sequence" VALUES('verdicts',1);
INSERT INTO "sqlite_sequence" VALUES('runs',1);
COMMIT;
