package main

import "path/filepath"

// A service is a program that runs as long as the cluster.
type service struct {
	name string // also the component's name
	args []string
}

// nodeServices returns the services that do not need the API server.
func nodeServices() []service {
	return []service{
		{name: "etcd", args: []string{
			"--name=" + nodeName,
			"--data-dir=" + filepath.Join(stateDir, "etcd"),
			"--listen-client-urls=" + etcdClientURL,
			"--advertise-client-urls=" + etcdClientURL,
			"--listen-peer-urls=" + etcdPeerURL,
			"--initial-advertise-peer-urls=" + etcdPeerURL,
			"--initial-cluster=" + nodeName + "=" + etcdPeerURL,
			"--log-level=warn",
			// The data does not outlive the cluster.
			"--unsafe-no-fsync",
		}},
		{name: "containerd", args: []string{"--config=" + configPath("containerd.toml")}},
		{name: "kube-apiserver", args: []string{
			"--etcd-servers=" + etcdClientURL,
			"--bind-address=" + nodeAddress,
			"--advertise-address=" + nodeAddress,
			"--tls-cert-file=" + certPath("kube-apiserver"),
			"--tls-private-key-file=" + keyPath("kube-apiserver"),
			"--client-ca-file=" + caCertPath(),
			"--token-auth-file=" + tokenFile(),
			"--authorization-mode=Node,RBAC",
			"--enable-admission-plugins=NodeRestriction",
			"--allow-privileged",
			"--service-cluster-ip-range=" + serviceCIDR,
			"--service-account-issuer=https://kubernetes.default.svc." + clusterDomain,
			"--service-account-key-file=" + publicKeyPath("service-account"),
			"--service-account-signing-key-file=" + keyPath("service-account"),
			"--kubelet-certificate-authority=" + caCertPath(),
			"--kubelet-client-certificate=" + certPath("kubelet-client"),
			"--kubelet-client-key=" + keyPath("kubelet-client"),
			// No DNS server knows the node's name.
			"--kubelet-preferred-address-types=InternalIP",
			"--profiling=false",
		}},
	}
}

// controlServices returns the clients of the API server. The controller manager and the scheduler
// have no port, because no client needs them.
func controlServices() []service {
	return []service{
		{name: "kube-controller-manager", args: []string{
			"--kubeconfig=" + userKubeconfig("system:kube-controller-manager"),
			"--leader-elect=false",
			"--secure-port=0",
			"--use-service-account-credentials",
			"--service-account-private-key-file=" + keyPath("service-account"),
			"--root-ca-file=" + caCertPath(),
			// The kubelet renews its lease every 2 s. The node counts as lost when five renewals
			// have failed.
			"--node-monitor-grace-period=10s",
			"--node-monitor-period=1s",
			"--kube-api-qps=200",
			"--kube-api-burst=400",
		}},
		{name: "kube-scheduler", args: []string{
			"--kubeconfig=" + userKubeconfig("system:kube-scheduler"),
			"--leader-elect=false",
			"--secure-port=0",
		}},
		{name: "kubelet", args: []string{
			"--config=" + configPath("kubelet.yaml"),
			"--kubeconfig=" + userKubeconfig("system:node:"+nodeName),
			"--hostname-override=" + nodeName,
			"--node-ip=" + nodeAddress,
			"--root-dir=" + filepath.Join(stateDir, "kubelet"),
		}},
		{name: "kube-proxy", args: []string{"--config=" + configPath("kube-proxy.yaml")}},
		{name: "coredns", args: []string{"-conf=" + configPath("Corefile")}},
	}
}
