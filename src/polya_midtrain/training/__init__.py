"""Training by trl: supervised fine-tuning and GRPO, each a thin layer over trl's trainer, and what both need."""
