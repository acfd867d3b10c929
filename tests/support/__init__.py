"""What tests share: fakes, stacks that run, and what checks AWS's side."""
