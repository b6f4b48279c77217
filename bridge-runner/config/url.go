// Copyright 2026 The mqttbridge-operator Authors.
// SPDX-License-Identifier: Apache-2.0

package config

import (
	"errors"
	"net"
	neturl "net/url"
	"regexp"
	"strconv"
	"strings"
)

// Address is where a server listens.
type Address struct {
	// Host is the name that the server's certificate must have, or its address: without
	// brackets, without a dot at the end, and without a zone.
	Host string
	// HostPort is dialled. A dot at the end of the host keeps the resolver from adding
	// domains; a zone names the interface that leads to a link-local address.
	HostPort string
	// TLS says whether to use TLS.
	TLS bool
	// WebSocket says whether to use WebSocket, for which Path is the path and query.
	WebSocket bool
	Path      string
}

// The parts of URLs, as in the schema's rules.
const (
	hostPattern = `([A-Za-z0-9](?:[-A-Za-z0-9._]*[A-Za-z0-9])?[.]?|\[[0-9a-fA-F:.]+(?:%(?:25)?[-.~_0-9A-Za-z]+)?\])`
	pathPattern = `(/(?:[-!$&'()*+,./0-9:;=?A-Z_a-z~]|%[0-9A-Fa-f]{2})*)?`
)

var (
	hostAndPort        = regexp.MustCompile(`^` + hostPattern + `(?::([0-9]{1,5}))?/?$`)
	hostPortAndPath    = regexp.MustCompile(`^` + hostPattern + `(?::([0-9]{1,5}))?` + pathPattern + `$`)
	proxySchemeAndHost = regexp.MustCompile(`^(socks5|http)://` + hostPattern + `:([0-9]{1,5})/?$`)
)

// ParseURL parses the URL of a server: mqtt:// or tcp://, port 1883; mqtts://, ssl://
// or tls://, port 8883; ws://, port 80; and wss://, port 443.
func ParseURL(url string) (Address, error) {
	scheme, rest, ok := strings.Cut(url, "://")
	var port string
	var a Address
	switch {
	case ok && (scheme == "mqtt" || scheme == "tcp"):
		port = "1883"
	case ok && (scheme == "mqtts" || scheme == "ssl" || scheme == "tls"):
		port, a.TLS = "8883", true
	case ok && scheme == "ws":
		port, a.WebSocket = "80", true
	case ok && scheme == "wss":
		port, a.WebSocket, a.TLS = "443", true, true
	default:
		return a, errors.New("a server's URL starts with mqtt:// or tcp:// (plain), mqtts://, ssl:// or tls:// (TLS), ws:// (WebSocket) or wss:// (WebSocket over TLS)")
	}
	if strings.Contains(url, "@") {
		return a, errors.New("a server's URL holds no user name or password; put them into a Secret and name it in credentials.secretRef")
	}
	m := hostAndPort.FindStringSubmatch(rest)
	switch {
	case a.WebSocket:
		if m = hostPortAndPath.FindStringSubmatch(rest); m == nil {
			return a, errors.New("the URL of a WebSocket server is scheme://host:port/path?query, port, path and query as needed; an IPv6 address stands in brackets, an internationalized name is written in its ASCII form (xn--...), and characters that URLs do not have are written as %20 and so on")
		}
		a.Path = m[3]
	case m == nil:
		return a, errors.New("a server's URL is scheme://host or scheme://host:port, with no path, query or spaces; an IPv6 address stands in brackets, and an internationalized name is written in its ASCII form (xn--...)")
	}
	if m[2] != "" {
		if !isPort(m[2]) {
			return a, errors.New("the port of a server's URL is a number from 1 to 65535")
		}
		port = m[2]
	}
	host, zone := splitZone(m[1])
	a.Host, a.HostPort = strings.TrimSuffix(host, "."), net.JoinHostPort(host+zone, port)
	return a, nil
}

// splitZone splits the host of a URL from the zone that an IPv6 address may have, which
// then begins with %. In the URL it stands after %25 (RFC 6874), or after % as most people
// write it.
func splitZone(inURL string) (host, zone string) {
	host, zone, ok := strings.Cut(strings.Trim(inURL, "[]"), "%")
	if ok {
		zone = "%" + strings.TrimPrefix(zone, "25")
	}
	return host, zone
}

// ParseProxyURL parses the URL of a proxy: socks5://host:port or http://host:port.
func ParseProxyURL(text string) (*neturl.URL, error) {
	if strings.Contains(text, "@") {
		return nil, errors.New("a proxy's URL holds no user name or password; put them into a Secret and name it in proxy.credentials.secretRef")
	}
	m := proxySchemeAndHost.FindStringSubmatch(text)
	if m == nil {
		return nil, errors.New("a proxy's URL is socks5://host:port or http://host:port; an IPv6 address stands in brackets, and an internationalized name is written in its ASCII form (xn--...)")
	}
	if !isPort(m[3]) {
		return nil, errors.New("the port of a proxy's URL is a number from 1 to 65535")
	}
	host, zone := splitZone(m[2])
	return &neturl.URL{Scheme: m[1], Host: net.JoinHostPort(host+zone, m[3])}, nil
}

func isPort(s string) bool {
	n, err := strconv.Atoi(s)
	return err == nil && n >= 1 && n <= 65535
}
