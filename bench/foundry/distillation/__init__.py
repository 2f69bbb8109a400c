"""Methods of the distillation recipe: students, tuned teachers with their stored outputs, and the terms of the loss."""
