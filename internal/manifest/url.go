// Copyright 2026 The mqttbridge-operator Authors.
// SPDX-License-Identifier: Apache-2.0

package manifest

import (
	"errors"
	"fmt"
	"net"
	neturl "net/url"
	"regexp"
	"strconv"
	"strings"
)

// Address is the address of a server, as its URL gives it.
type Address struct {
	// Host is the host name or IP address that the server's certificate must contain. It
	// has no brackets, no dot at the end and no zone.
	Host string
	// HostPort is the address to dial. A dot at the end of the host prevents the resolver
	// from adding search domains; a zone names the network interface for a link-local
	// address.
	HostPort string
	// TLS reports whether to use TLS.
	TLS bool
	// WebSocket reports whether to use WebSocket.
	WebSocket bool
	// Path is the path and query of the WebSocket request. It is empty without WebSocket.
	Path string
}

// The patterns for parts of URLs, as in the schema's rules.
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
		return a, errors.New("a server's URL must start with mqtt:// or tcp:// (plain), mqtts://, ssl:// or tls:// (TLS), ws:// (WebSocket) or wss:// (WebSocket over TLS)")
	}
	if strings.Contains(url, "@") {
		return a, errors.New("a server's URL must not contain a user name or password; set credentials.username and credentials.password")
	}
	m := hostAndPort.FindStringSubmatch(rest)
	switch {
	case a.WebSocket:
		if m = hostPortAndPath.FindStringSubmatch(rest); m == nil {
			return a, errors.New("the URL of a WebSocket server must be scheme://host:port/path?query (port, path and query are optional); write an IPv6 address in brackets, an internationalized name in its ASCII form (xn--...), and characters that a URL cannot contain in percent encoding, such as %20")
		}
		a.Path = m[3]
	case m == nil:
		return a, errors.New("a server's URL must be scheme://host or scheme://host:port, without path, query or spaces; write an IPv6 address in brackets, and an internationalized name in its ASCII form (xn--...)")
	}
	if m[2] != "" {
		if !isPort(m[2]) {
			return a, errors.New("the port of a server's URL must be a number from 1 to 65535")
		}
		port = m[2]
	}
	host, zone := splitZone(m[1])
	a.Host, a.HostPort = strings.TrimSuffix(host, "."), net.JoinHostPort(host+zone, port)
	return a, nil
}

// normalizeURL returns the same text for all URLs of one server: in lower case, but for the
// path and query, with its port, and one scheme for each kind of connection. It returns the
// URL unchanged if it is invalid.
func normalizeURL(url string) string {
	a, err := ParseURL(url)
	if err != nil {
		return url
	}
	return fmt.Sprintf("%t %t %s%s", a.TLS, a.WebSocket, strings.ToLower(a.HostPort), strings.TrimSuffix(a.Path, "/"))
}

// splitZone separates the host of a URL from the zone of an IPv6 address. zone is empty or
// begins with %. In the URL the zone follows %25 (RFC 6874), or only %, as is common.
func splitZone(urlHost string) (host, zone string) {
	host, zone, ok := strings.Cut(strings.Trim(urlHost, "[]"), "%")
	if ok {
		zone = "%" + strings.TrimPrefix(zone, "25")
	}
	return host, zone
}

// ParseProxyURL parses the URL of a proxy: socks5://host:port or http://host:port.
func ParseProxyURL(text string) (*neturl.URL, error) {
	if strings.Contains(text, "@") {
		return nil, errors.New("a proxy's URL must not contain a user name or password; set proxy.credentials.username and proxy.credentials.password")
	}
	m := proxySchemeAndHost.FindStringSubmatch(text)
	if m == nil {
		return nil, errors.New("a proxy's URL must be socks5://host:port or http://host:port; write an IPv6 address in brackets, and an internationalized name in its ASCII form (xn--...)")
	}
	if !isPort(m[3]) {
		return nil, errors.New("the port of a proxy's URL must be a number from 1 to 65535")
	}
	host, zone := splitZone(m[2])
	return &neturl.URL{Scheme: m[1], Host: net.JoinHostPort(host+zone, m[3])}, nil
}

func isPort(s string) bool {
	n, err := strconv.Atoi(s)
	return err == nil && n >= 1 && n <= 65535
}
