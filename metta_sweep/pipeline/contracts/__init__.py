"""What a stage's output must be: types, models, checks of values, and whether one type fits where another is read."""
