"""The chart, the downloader and the plugin on a real cluster, as users meet them."""
