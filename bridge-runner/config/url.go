// Copyright 2026 The mqttbridge-operator Authors.
// SPDX-License-Identifier: Apache-2.0

package config

import (
	"errors"
	"net"
	"regexp"
	"strconv"
	"strings"
)

// Address is where a server listens.
type Address struct {
	// Host is a name or an address without brackets.
	Host string
	// HostPort is what is dialled.
	HostPort string
	// TLS says whether to use TLS.
	TLS bool
}

var hostAndPort = regexp.MustCompile(`^([A-Za-z0-9]([-A-Za-z0-9._]*[A-Za-z0-9])?|\[[0-9a-fA-F:.]+\])(:[0-9]{1,5})?/?$`)

// ParseURL parses the URL of a server: mqtt:// or tcp://, port 1883, and
// mqtts://, ssl:// or tls://, port 8883.
func ParseURL(url string) (Address, error) {
	scheme, rest, ok := strings.Cut(url, "://")
	port := "1883"
	var a Address
	switch {
	case ok && (scheme == "mqtt" || scheme == "tcp"):
	case ok && (scheme == "mqtts" || scheme == "ssl" || scheme == "tls"):
		port, a.TLS = "8883", true
	default:
		return a, errors.New("a server's URL starts with mqtt:// or tcp:// (plain), or mqtts://, ssl:// or tls:// (TLS)")
	}
	if strings.Contains(url, "@") {
		return a, errors.New("a server's URL holds no user name or password; put them into a Secret and name it in credentials.secretRef")
	}
	m := hostAndPort.FindStringSubmatch(rest)
	if m == nil {
		return a, errors.New("a server's URL is scheme://host or scheme://host:port, with no path, query or spaces; an IPv6 address stands in brackets")
	}
	if m[3] != "" {
		n, err := strconv.Atoi(m[3][1:])
		if err != nil || n < 1 || n > 65535 {
			return a, errors.New("the port of a server's URL is a number from 1 to 65535")
		}
		port = m[3][1:]
	}
	a.Host = strings.Trim(m[1], "[]")
	a.HostPort = net.JoinHostPort(a.Host, port)
	return a, nil
}
