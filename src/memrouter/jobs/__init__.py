"""Work after the answer: bounded queue, drain on shutdown."""
