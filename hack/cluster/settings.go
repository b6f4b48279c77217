package main

import "path/filepath"

// stateDir holds all files that a running cluster writes. It is the same for all checkouts and
// caches, because one cluster can exist per machine. It is short, because the path of a Unix socket
// must fit in 108 bytes.
const stateDir = "/var/lib/mqttbridge-cluster"

const (
	nodeName = "local"

	// The node's address is on a separate device, so that it does not depend on the machine's
	// network and is not reachable from it.
	nodeDevice  = "mqttbr0"
	nodeAddress = "10.243.0.1"

	podCIDR     = "10.244.0.0/16"
	podGateway  = "10.244.0.1"
	serviceCIDR = "10.96.0.0/16"

	// apiServiceAddress is the first address of serviceCIDR, which the API server assigns to the
	// Service kubernetes.default.
	apiServiceAddress = "10.96.0.1"

	clusterDomain = "cluster.local"

	apiServerURL = "https://" + nodeAddress + ":6443"

	// etcd listens on loopback, which pods cannot reach. The ports differ from etcd's defaults,
	// which an etcd of the machine or of a test may use.
	etcdClientURL = "http://127.0.0.1:23791"
	etcdPeerURL   = "http://127.0.0.1:23792"

	contextName = "mqttbridge-local"

	pauseImage = "localhost/mqttbridge/pause:local"
)

// clusterLock is outside the state directory, because "down" removes that directory.
const clusterLock = "/run/mqttbridge-cluster.lock"

// Paths below the state directory.
var (
	kubeconfigPath = filepath.Join(stateDir, "kubeconfig")
	pkiDir         = filepath.Join(stateDir, "pki")
	configDir      = filepath.Join(stateDir, "config")
	cniDir         = filepath.Join(stateDir, "cni")
	logDir         = filepath.Join(stateDir, "logs")
	processDir     = filepath.Join(stateDir, "processes")

	// binDirFile contains the directory of the programs from which the running cluster was started.
	binDirFile = filepath.Join(stateDir, "bin")
	// forwardingFile contains the machine's previous setting, which "down" restores.
	forwardingFile = filepath.Join(stateDir, "ip_forward")

	containerdDir    = filepath.Join(stateDir, "containerd")
	containerdSocket = filepath.Join(stateDir, "containerd.sock")
)
