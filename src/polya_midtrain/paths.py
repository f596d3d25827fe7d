"""Where the pipeline's files are, relative to the project root. dvc.yaml names the same places."""

from pathlib import Path

CODE = Path("results/code")
QUESTIONS = Path("data/questions")
MID, REWARD_QUESTIONS, RL_QUESTIONS = (QUESTIONS / f"{name}.parquet" for name in ("mid", "reward", "rl"))
BENCHMARKS = QUESTIONS / "benchmarks"
TRANSFER = QUESTIONS / "transfer"
PROMPTS = Path("data/prompts")
MID_PROMPTS, REWARD_PROMPTS = (PROMPTS / f"{name}.json" for name in ("mid", "reward"))
BASES = Path("models/base")
TEACHERS = Path("models/teacher")
REWARDS = Path("models/reward")
HELD_OUT = "held_out.json"  # beside the weights of a reward model that was trained here
GENERATED = Path("data/traces/generated.parquet")
GRADED = Path("data/traces/graded.parquet")
SCORED = Path("data/traces/scored.parquet")
DISTILLED = Path("data/traces/distilled.parquet")
TRAIN = Path("data/train")
MIDTRAIN = Path("models/midtrain")
RL = Path("models/rl")
COMPLETIONS = Path("data/completions")
COUNTS = Path("results/counts")
CURVES = Path("results/curves")
TRAINING_SETS = COUNTS / "training_sets.json"  # beside the arms: see params.Params.arms
COMPOSITION = Path("results/composition.json")
DIVERSITY = COUNTS / "diversity.json"
MODES = Path("results/modes")
METRICS = Path("results/metrics")
TABLES = Path("reports/tables")
FIGURES = Path("reports/figures")
CLAIMS = Path("claims.yaml")
RULES = Path("docs/preregistration.md")
CLAIMS_REPORT = Path("reports/claims.csv")
PAGE = Path("reports/index.html")

RUNS = 100  # runs of a base, by which a run's number says its base


def base_of(run: int) -> int:
    """The number of the base that a training run starts from, see `params.Params.runs`."""
    return run // RUNS + 1


def base(number: int) -> Path:
    """One of the bases, from 1."""
    return BASES / f"base-{number}"


def teacher(number: int) -> Path:
    """The teacher that goes with a base."""
    return TEACHERS / f"base-{number}"


def reward(number: int) -> Path:
    """The reward model that goes with a base."""
    return REWARDS / f"base-{number}"
