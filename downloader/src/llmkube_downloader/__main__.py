"""Lets ``python -m llmkube_downloader`` stand for the console script."""

from llmkube_downloader.launch import main

main()
