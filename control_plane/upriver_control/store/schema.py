"""The tables. Times are Unix times in seconds; documents are JSON texts, which both databases keep as they are."""

from sqlalchemy import (
    BigInteger,
    Boolean,
    Column,
    Double,
    ForeignKey,
    Index,
    Integer,
    LargeBinary,
    MetaData,
    String,
    Table,
    Text,
    UniqueConstraint,
)

NAME = 63
DIGEST = 71
RESOURCE = 200

metadata = MetaData(
    naming_convention={
        "ix": "ix_%(column_0_label)s",
        "uq": "uq_%(table_name)s_%(column_0_name)s",
        "fk": "fk_%(table_name)s_%(column_0_name)s",
        "pk": "pk_%(table_name)s",
    }
)

models = Table(
    "models",
    metadata,
    Column("id", String(NAME), primary_key=True),
    Column("description", Text, nullable=False),
    Column("created", Double, nullable=False),
)

versions = Table(
    "versions",
    metadata,
    Column("number", Integer, primary_key=True, autoincrement=True),
    Column("model", String(NAME), ForeignKey("models.id"), nullable=False),
    Column("version", String(NAME), nullable=False),
    Column("digest", String(DIGEST), nullable=False, unique=True),
    Column("lineage", Text, nullable=False),
    Column("requirements", Text, nullable=False),
    Column("validation", Text, nullable=False),
    Column("created", Double, nullable=False),
    UniqueConstraint("model", "version"),
    sqlite_autoincrement=True,
)

version_files = Table(
    "version_files",
    metadata,
    Column("number", Integer, ForeignKey("versions.number", ondelete="CASCADE"), primary_key=True),
    Column("name", String(NAME), primary_key=True),
    Column("digest", String(DIGEST), nullable=False, index=True),
    Column("size_bytes", BigInteger, nullable=False),
    Column("chunks", String(DIGEST), nullable=False, index=True),
)

aliases = Table(
    "aliases",
    metadata,
    Column("model", String(NAME), ForeignKey("models.id"), primary_key=True),
    Column("alias", String(NAME), primary_key=True),
    Column("number", Integer, ForeignKey("versions.number"), nullable=False, index=True),
)

claims = Table(
    "claims",
    metadata,
    Column("model", String(NAME), primary_key=True),
    Column("version", String(NAME), primary_key=True),
    Column("digest", String(DIGEST), nullable=False),
    Column("until", Double, nullable=False),
)
"""Names that a publication under way has taken until a time."""

loose_blobs = Table(
    "loose_blobs",
    metadata,
    Column("digest", String(DIGEST), primary_key=True),
    Column("until", Double, nullable=False, index=True),
)
"""Blobs that no version refers to, yet or any more; after `until` they may go."""

rollouts = Table(
    "rollouts",
    metadata,
    Column("generation", Integer, primary_key=True, autoincrement=True),
    Column("id", String(RESOURCE), nullable=False, unique=True),
    Column("model", String(NAME), nullable=False, index=True),
    Column("state", String(NAME), nullable=False, index=True),
    Column("revision", BigInteger, nullable=False, index=True),
    Column("request_id", String(RESOURCE), nullable=False, unique=True),
    Column("document", Text, nullable=False),
    Column("created", Double, nullable=False),
    sqlite_autoincrement=True,
)

agents = Table(
    "agents",
    metadata,
    Column("id", String(RESOURCE), primary_key=True),
    Column("document", Text, nullable=False),
    Column("updated", Double, nullable=False, index=True),
    Column("process", String(RESOURCE), nullable=False),
    Column("connected", Boolean, nullable=False),
)

Index("ix_agents_process", agents.c.process)

processes = Table(
    "processes",
    metadata,
    Column("id", String(RESOURCE), primary_key=True),
    Column("beat", BigInteger, nullable=False),
)
"""Control-plane processes that run. Each counts its `beat` up every few seconds; one that no longer does is dead."""

calibrations = Table(
    "calibrations",
    metadata,
    Column("number", Integer, primary_key=True, autoincrement=True),
    Column("id", String(RESOURCE), nullable=False, unique=True),
    Column("model", String(NAME), nullable=False, index=True),
    Column("state", String(NAME), nullable=False, index=True),
    Column("revision", BigInteger, nullable=False),
    Column("request_id", String(RESOURCE), nullable=False, unique=True),
    Column("owner", String(RESOURCE), nullable=False),
    Column("until", Double, nullable=False),
    Column("document", Text, nullable=False),
    Column("created", Double, nullable=False),
    sqlite_autoincrement=True,
)
"""Calibrations. The process `owner` works on one until `until`; after that another may begin it anew."""

policies = Table(
    "policies",
    metadata,
    Column("number", Integer, primary_key=True, autoincrement=True),
    Column("model", String(NAME), nullable=False),
    Column("digest", String(DIGEST), nullable=False),
    Column("version_digest", String(DIGEST), nullable=False, index=True),
    Column("version", String(RESOURCE), nullable=False),
    Column("tier", String(NAME), nullable=False),
    Column("calibration", String(RESOURCE), nullable=False),
    Column("document", Text, nullable=False),
    Column("created", Double, nullable=False),
    UniqueConstraint("model", "digest"),
    sqlite_autoincrement=True,
)

questions = Table(
    "questions",
    metadata,
    Column("digest", String(DIGEST), primary_key=True),
    Column("questions", BigInteger, nullable=False),
    Column("has_labels", Boolean, nullable=False),
    Column("size_bytes", BigInteger, nullable=False),
    Column("until", Double, nullable=False, index=True),
)
"""Questions files among the artifacts, for calibrations; after `until` they may go."""

heads = Table(
    "heads",
    metadata,
    Column("digest", String(DIGEST), primary_key=True),
    Column("version_digest", String(DIGEST), nullable=False, index=True),
    Column("size_bytes", BigInteger, nullable=False),
    Column("created", Double, nullable=False),
)
"""Heads among the artifacts, which policies may name."""

audits = Table(
    "audits",
    metadata,
    Column("number", Integer, primary_key=True, autoincrement=True),
    Column("agent", String(RESOURCE), nullable=False),
    Column("question", String(RESOURCE), nullable=False),
    Column("row", Integer, nullable=False),
    Column("model", String(NAME), nullable=False),
    Column("tier", String(NAME), nullable=False),
    Column("version_digest", String(DIGEST), nullable=False),
    Column("policy_digest", String(DIGEST), nullable=False),
    Column("passes", Boolean, nullable=False),
    Column("agrees", Boolean, nullable=False),
    Column("received", Double, nullable=False, index=True),
    Column("document", Text, nullable=False),
    UniqueConstraint("agent", "question", "row"),
    sqlite_autoincrement=True,
)
"""What agents answered against what the top did, row by row. The oldest go when there are many, or after a time."""

Index("ix_audits_model", audits.c.model, audits.c.number)

pool_state = Table(
    "pool_state",
    metadata,
    Column("id", Integer, primary_key=True, autoincrement=False),
    Column("revision", BigInteger, nullable=False),
)
"""One row: rises with every change of the three tables below, so that a process knows whether it has the newest."""

pool_children = Table(
    "pool_children",
    metadata,
    Column("child", String(RESOURCE), primary_key=True),
    Column("heard", Double, nullable=False),
    Column("counted_epoch", BigInteger, nullable=False),
    Column("counted", Text, nullable=False),
    Column("staged_epoch", BigInteger, nullable=False),
    Column("staged", Text, nullable=False),
)
"""Who pools at the control plane: the submission that counts, and one that waits. Without one: epoch 0."""

pool_epochs = Table(
    "pool_epochs",
    metadata,
    Column("agent", String(RESOURCE), primary_key=True),
    Column("epoch", BigInteger, nullable=False),
    Column("told", Double, nullable=False),
)
"""The newest epoch of each agent that was told."""

pool_parts = Table(
    "pool_parts",
    metadata,
    Column("child", String(RESOURCE), primary_key=True),
    Column("epoch", BigInteger, primary_key=True),
    Column("number", Integer, primary_key=True),
    Column("model", String(NAME), nullable=False),
    Column("version_digest", String(DIGEST), nullable=False),
    Column("region", String(RESOURCE), nullable=False),
    Column("trial", String(DIGEST), nullable=False),
    Column("width", Integer, nullable=False),
    Column("agents", Integer, nullable=False),
    Column("amount", Double, nullable=False),
    Column("forgotten", BigInteger, nullable=False),
    Column("body", LargeBinary, nullable=False),
)
"""The sums of those submissions, as they came; `amount` is of lessons, or of audits that a trial counted."""

Index("ix_pool_parts_model", pool_parts.c.model, pool_parts.c.version_digest)

region_attempts = Table(
    "region_attempts",
    metadata,
    Column("model", String(NAME), primary_key=True),
    Column("version_digest", String(DIGEST), primary_key=True),
    Column("region", String(RESOURCE), primary_key=True),
    Column("attempts", Integer, nullable=False),
)
"""How many heads were tested on a region's audits, ever: the next test is so much the stricter."""

region_trials = Table(
    "region_trials",
    metadata,
    Column("digest", String(DIGEST), primary_key=True),
    Column("model", String(NAME), nullable=False),
    Column("version_digest", String(DIGEST), nullable=False),
    Column("region", String(RESOURCE), nullable=False),
    Column("open", Boolean, nullable=False, index=True),
    Column("revision", Integer, nullable=False),
    Column("created", Double, nullable=False),
    Column("document", Text, nullable=False),
)
"""Heads that are, or were, tried on a region's audits."""

trainings = Table(
    "trainings",
    metadata,
    Column("number", Integer, primary_key=True, autoincrement=True),
    Column("id", String(RESOURCE), nullable=False, unique=True),
    Column("model", String(NAME), nullable=False, index=True),
    Column("state", String(NAME), nullable=False, index=True),
    Column("revision", BigInteger, nullable=False),
    Column("request_id", String(RESOURCE), nullable=False, unique=True),
    Column("owner", String(RESOURCE), nullable=False),
    Column("until", Double, nullable=False),
    Column("document", Text, nullable=False),
    Column("created", Double, nullable=False),
    sqlite_autoincrement=True,
)
"""Trainings, worked on as calibrations are."""

lesson_parts = Table(
    "lesson_parts",
    metadata,
    Column("number", Integer, primary_key=True, autoincrement=True),
    Column("name", String(NAME), nullable=False, unique=True),
    Column("model", String(NAME), nullable=False),
    Column("region", String(RESOURCE), nullable=False),
    Column("date", String(10), nullable=False, index=True),
    Column("rows", Integer, nullable=False),
    Column("size_bytes", BigInteger, nullable=False),
    Column("labels", Text, nullable=False),
    Column("staged", Boolean, nullable=False),
    Column("dirty", Boolean, nullable=False),
    Column("gone", Boolean, nullable=False),
    sqlite_autoincrement=True,
)
"""Files of lessons: `staged` until they are in their place, `dirty` while they have lessons that were forgotten, `gone`
until they are deleted."""

Index("ix_lesson_parts_model", lesson_parts.c.model, lesson_parts.c.region)

lessons = Table(
    "lessons",
    metadata,
    Column("id", String(RESOURCE), primary_key=True),
    Column("part", Integer, ForeignKey("lesson_parts.number"), nullable=False, index=True),
)
"""Which lessons are here, each in one file. What a file has besides is to be passed over."""

forgotten_lessons = Table(
    "forgotten_lessons",
    metadata,
    Column("id", String(RESOURCE), primary_key=True),
    Column("forgotten", Double, nullable=False, index=True),
)
"""Lessons that were forgotten where they were learnt: they are not taken any more."""

version_sources = Table(
    "version_sources",
    metadata,
    Column("version_digest", String(DIGEST), primary_key=True),
    Column("kind", String(NAME), primary_key=True),
    Column("digest", String(DIGEST), nullable=False, index=True),
    Column("size_bytes", BigInteger, nullable=False),
    Column("created", Double, nullable=False),
)
"""What versions are trained from, among the artifacts: beside them, and never on a device."""
