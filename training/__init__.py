"""Training and evaluation: latents → pairs → model and objectives → checkpoint → scores, one module a stage."""
