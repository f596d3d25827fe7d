"""Where the pipeline's files are, relative to the project root. dvc.yaml names the same places."""

from pathlib import Path

QUESTIONS = Path("data/questions")
MID, REWARD_QUESTIONS, RL_QUESTIONS = (QUESTIONS / f"{name}.parquet" for name in ("mid", "reward", "rl"))
BENCHMARKS = QUESTIONS / "benchmarks"
BASE = Path("models/base")
REWARD = Path("models/reward")
GENERATED = Path("data/traces/generated.parquet")
VERIFIED = Path("data/traces/verified.parquet")
SCORED = Path("data/traces/scored.parquet")
TRAIN = Path("data/train")
MIDTRAIN = Path("models/midtrain")
RL = Path("models/rl")
COMPLETIONS = Path("data/completions")
COUNTS = Path("results/counts")
METRICS = Path("results/metrics")
TABLES = Path("reports/tables")
