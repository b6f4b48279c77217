package main

import (
	"bytes"
	"crypto/rand"
	"embed"
	"encoding/base64"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"text/template"
)

//go:embed templates
var templateFiles embed.FS

var templates = template.Must(template.New("").Option("missingkey=error").ParseFS(templateFiles, "templates/*"))

// A user is a client of the API server that authenticates with a token.
type user struct {
	name   string
	groups string // separated by commas
}

const adminUser = "admin"

// users have the names to which Kubernetes' default RBAC rules are bound, so that each program has
// only the permissions that it has in a real cluster. CoreDNS has no default rules and only reads,
// so it uses the administrator's kubeconfig.
var users = []user{
	{name: adminUser, groups: "system:masters"},
	{name: "system:kube-controller-manager"},
	{name: "system:kube-scheduler"},
	{name: "system:kube-proxy"},
	{name: "system:node:" + nodeName, groups: "system:nodes"},
}

// userKubeconfig returns the path of the kubeconfig of a user other than the administrator.
func userKubeconfig(name string) string {
	return filepath.Join(configDir, strings.ReplaceAll(name, ":", "-")+".kubeconfig")
}

// configPath returns the path of the rendered template.
func configPath(name string) string { return filepath.Join(configDir, name) }

func tokenFile() string { return configPath("tokens.csv") }

// writeConfig writes the files that the programs read: tokens, kubeconfigs and configuration files.
// The certificates must exist.
func writeConfig() error {
	if err := writeUsers(); err != nil {
		return fmt.Errorf("write the users: %w", err)
	}
	values := map[string]string{
		"CACert":           caCertPath(),
		"CNIDir":           cniDir,
		"ClusterDomain":    clusterDomain,
		"ContainerdDir":    containerdDir,
		"ContainerdSocket": containerdSocket,
		"KubeletCert":      certPath("kubelet"),
		"KubeletKey":       keyPath("kubelet"),
		"NodeAddress":      nodeAddress,
		"NodeName":         nodeName,
		"PauseImage":       pauseImage,
		"PodCIDR":          podCIDR,
		"PodGateway":       podGateway,
		"PodLogsDir":       filepath.Join(logDir, "pods"),
		"VolumePluginDir":  filepath.Join(stateDir, "volume-plugins"),
	}
	for name, kubeconfig := range map[string]string{
		"containerd.toml": "",
		"kubelet.yaml":    "",
		"kube-proxy.yaml": userKubeconfig("system:kube-proxy"),
		"Corefile":        kubeconfigPath,
	} {
		values["Kubeconfig"] = kubeconfig
		if err := render(configPath(name), name, values); err != nil {
			return err
		}
	}
	return render(filepath.Join(cniDir, "conf", "mqttbridge.conflist"), "cni.conflist", values)
}

func writeUsers() error {
	ca, err := os.ReadFile(caCertPath())
	if err != nil {
		return err
	}
	var tokens strings.Builder
	for _, u := range users {
		token := rand.Text()
		fmt.Fprintf(&tokens, "%s,%q,%q,%q\n", token, u.name, u.name, u.groups)
		path := userKubeconfig(u.name)
		if u.name == adminUser {
			path = kubeconfigPath
		}
		if err := render(path, "kubeconfig.yaml", map[string]string{
			"Context": contextName,
			"Server":  apiServerURL,
			"CA":      base64.StdEncoding.EncodeToString(ca),
			"User":    u.name,
			"Token":   token,
		}); err != nil {
			return err
		}
	}
	return os.WriteFile(tokenFile(), []byte(tokens.String()), 0o600)
}

func render(path, name string, values map[string]string) error {
	var content bytes.Buffer
	if err := templates.ExecuteTemplate(&content, name, values); err != nil {
		return err
	}
	return os.WriteFile(path, content.Bytes(), 0o600)
}
