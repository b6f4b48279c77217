// Copyright 2026 The mqttbridge-operator Authors.
// SPDX-License-Identifier: Apache-2.0

package v1alpha1

import "strings"

// ManifestKey is the key of the manifest in the bridge's ConfigMap, and the name of its file in
// the pod.
const ManifestKey = "bridge.yaml"

// ChildName returns the name of every child object of the bridge called name. A bridge's name
// has at most 52 characters, so that a child's name fits into the 63 characters after which
// Kubernetes cuts a pod's host name.
func ChildName(name string) string { return name + "-bridge" }

// ServerNames returns the names of the side's servers, in their order of preference. The
// default name of a server is the host of its URL; with the port, if the URL has another
// port than the default of its scheme. It depends on no other server, so that a server keeps
// its name if another one is added or removed. Only if two servers would have the same name,
// their default names get the port and, if that is not enough, the path.
//
// Two names are equal only if the spec sets them, or if two URLs differ only in their query.
// Validation refuses both.
func (s *Side) ServerNames() []string {
	servers := s.Servers()
	names, detail := make([]string, len(servers)), make([]nameDetail, len(servers))
	for {
		used := map[string]int{}
		for i := range servers {
			if names[i] = servers[i].Name; names[i] == "" {
				names[i] = defaultServerName(servers[i].URL, detail[i])
			}
			used[names[i]]++
		}
		more := false
		for i := range servers {
			if servers[i].Name == "" && used[names[i]] > 1 && detail[i] < withPath {
				detail[i]++
				more = true
			}
		}
		if !more {
			return names
		}
	}
}

// nameDetail is how much of a URL the default name of a server contains.
type nameDetail int32

const (
	withHost nameDetail = iota // and the port, unless it is the default
	withPort
	withPath
)

// defaultPorts are the ports of URLs that name none, by scheme.
var defaultPorts = map[string]string{
	"mqtt": "1883", "tcp": "1883",
	"mqtts": "8883", "ssl": "8883", "tls": "8883",
	"ws": "80", "wss": "443",
}

func defaultServerName(url string, detail nameDetail) string {
	scheme, rest, _ := strings.Cut(PublicURL(url), "://") // the URL of an invalid manifest may contain a password
	rest, _, _ = strings.Cut(rest, "?")
	authority, path, _ := strings.Cut(rest, "/")
	host, port := splitPort(authority)
	host = strings.ToLower(strings.TrimSuffix(host, "."))
	if port == "" {
		port = defaultPorts[scheme]
	}
	switch {
	case detail == withPath && path != "":
		return host + ":" + port + "/" + path
	case detail >= withPort || port != defaultPorts[scheme]:
		return host + ":" + port
	default:
		return host
	}
}

// splitPort separates the host of a URL, an IPv6 address with its brackets, from the port.
func splitPort(authority string) (host, port string) {
	colon := strings.LastIndex(authority, ":")
	if colon < 0 || colon < strings.LastIndex(authority, "]") {
		return authority, ""
	}
	return authority[:colon], authority[colon+1:]
}
