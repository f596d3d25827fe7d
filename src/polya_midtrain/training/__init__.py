"""Training by trl: supervised fine-tuning, the reward model and GRPO, each a thin layer over trl's trainer."""
