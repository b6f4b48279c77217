package main

// A component is one program of the cluster, with the settings for its build.
type component struct {
	name    string
	module  string // directory of the module that pins the version, below hack/
	pkg     string
	tags    string
	envtest bool // required by envtest
}

const (
	kubernetesModule = "tools/kubernetes"

	// containerdTags excludes the snapshotters that need C libraries or block devices; the cluster
	// uses overlayfs.
	containerdTags = "no_btrfs no_zfs no_aufs no_devmapper"
)

// components are listed in build order. The programs that integration tests need come first.
var components = []component{
	{name: "kube-apiserver", module: kubernetesModule, pkg: "k8s.io/kubernetes/cmd/kube-apiserver", envtest: true},
	{name: "etcd", module: "tools/etcd", pkg: "go.etcd.io/etcd/server/v3", envtest: true},
	{name: "kubectl", module: kubernetesModule, pkg: "k8s.io/kubernetes/cmd/kubectl", envtest: true},
	{name: "kube-controller-manager", module: kubernetesModule, pkg: "k8s.io/kubernetes/cmd/kube-controller-manager"},
	{name: "containerd", module: "tools/containerd", pkg: "github.com/containerd/containerd/v2/cmd/containerd", tags: containerdTags},
	{name: "containerd-shim-runc-v2", module: "tools/containerd", pkg: "github.com/containerd/containerd/v2/cmd/containerd-shim-runc-v2", tags: containerdTags},
	{name: "ctr", module: "tools/containerd", pkg: "github.com/containerd/containerd/v2/cmd/ctr", tags: containerdTags},
	{name: "kubelet", module: kubernetesModule, pkg: "k8s.io/kubernetes/cmd/kubelet"},
	{name: "coredns", module: "tools/coredns", pkg: "."},
	{name: "kube-proxy", module: kubernetesModule, pkg: "k8s.io/kubernetes/cmd/kube-proxy"},
	{name: "kube-scheduler", module: kubernetesModule, pkg: "k8s.io/kubernetes/cmd/kube-scheduler"},
	{name: "pause", module: "cluster/pause", pkg: "."},
}
