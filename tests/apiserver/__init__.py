"""A real kube-apiserver takes the manifests: `make test-apiserver`."""
