"""What a run says about its containers: sections, the summary, what was kept."""
