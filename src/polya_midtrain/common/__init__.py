"""What most stages share: policies, prompts, heuristics, records on disk and seeds."""
