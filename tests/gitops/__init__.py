"""The chart in the hands of Flux and Argo CD, both real."""
