package main

import "path/filepath"

// stateDir holds all that a running cluster writes. It is fixed, because there
// is one cluster per machine whichever checkout or cache started it, and short,
// because the path of a Unix socket must fit in 108 bytes.
const stateDir = "/var/lib/mqttbridge-cluster"

const (
	nodeName = "local"

	// The node's address is on a device of its own, so that it neither depends
	// on the machine's network nor is reachable from it.
	nodeDevice  = "mqttbr0"
	nodeAddress = "10.243.0.1"

	podCIDR     = "10.244.0.0/16"
	podGateway  = "10.244.0.1"
	serviceCIDR = "10.96.0.0/16"

	// apiServiceAddress is the first address of serviceCIDR, which the API
	// server takes for the Service kubernetes.default.
	apiServiceAddress = "10.96.0.1"

	clusterDomain = "cluster.local"

	apiServerURL = "https://" + nodeAddress + ":6443"

	// etcd is on loopback, out of the pods' reach. The ports are not etcd's
	// own, which an etcd of the machine or of a test may hold.
	etcdClientURL = "http://127.0.0.1:23791"
	etcdPeerURL   = "http://127.0.0.1:23792"

	contextName = "mqttbridge-local"

	pauseImage = "localhost/mqttbridge/pause:local"
)

// clusterLock lies outside the state directory, which "down" removes.
const clusterLock = "/run/mqttbridge-cluster.lock"

// Paths below the state directory.
var (
	kubeconfigPath = filepath.Join(stateDir, "kubeconfig")
	pkiDir         = filepath.Join(stateDir, "pki")
	configDir      = filepath.Join(stateDir, "config")
	cniDir         = filepath.Join(stateDir, "cni")
	logDir         = filepath.Join(stateDir, "logs")
	processDir     = filepath.Join(stateDir, "processes")

	// binDirFile says which programs the running cluster was started from.
	binDirFile = filepath.Join(stateDir, "bin")
	// forwardingFile keeps the machine's own setting for "down".
	forwardingFile = filepath.Join(stateDir, "ip_forward")

	containerdDir    = filepath.Join(stateDir, "containerd")
	containerdSocket = filepath.Join(stateDir, "containerd.sock")
)
