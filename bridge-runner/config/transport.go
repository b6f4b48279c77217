// Copyright 2026 The mqttbridge-operator Authors.
// SPDX-License-Identifier: Apache-2.0

package config

import (
	"errors"
	"math"
	"net/url"
	"strings"
	"time"

	"github.com/mqttbridge/mqttbridge-operator/api/v1alpha1"
	"github.com/mqttbridge/mqttbridge-operator/bridge-runner/transport"
)

// Transport returns how to connect to a server now, by the Secrets and ConfigMaps as
// they are. What the server sets takes the place of what its side sets. The side has
// its defaults. Where a Secret or ConfigMap cannot be used the error is of type
// *[ReferenceError].
func Transport(side *v1alpha1.Side, server *v1alpha1.Server, secrets Secrets) (transport.Config, error) {
	address, err := ParseURL(server.URL)
	if err != nil {
		return transport.Config{}, err
	}
	cfg := transport.Config{
		HostPort:    address.HostPort,
		WebSocket:   address.WebSocket,
		Path:        address.Path,
		UserTimeout: time.Duration(*side.Failover.AckTimeoutSeconds) * time.Second,
	}
	tlsSettings, proxy, webSocket := side.TLS, side.Proxy, side.WebSocket
	if server.TLS != nil {
		tlsSettings = server.TLS
	}
	if server.Proxy != nil {
		proxy = server.Proxy
	}
	if server.WebSocket != nil {
		webSocket = server.WebSocket
	}
	if address.TLS {
		if cfg.TLS, err = secrets.TLS(tlsSettings, address.Host); err != nil {
			return transport.Config{}, err
		}
	}
	if proxy != nil {
		if cfg.Proxy, err = proxyURL(proxy, secrets); err != nil {
			return transport.Config{}, err
		}
	}
	if address.WebSocket && webSocket != nil {
		if cfg.Path, cfg.Header, err = secrets.request(webSocket, address.Path); err != nil {
			return transport.Config{}, err
		}
	}
	return cfg, nil
}

// proxyURL is the URL of a proxy with its login.
func proxyURL(p *v1alpha1.Proxy, secrets Secrets) (*url.URL, error) {
	u, err := ParseProxyURL(p.URL)
	if err != nil || p.Credentials == nil {
		return u, err
	}
	username, password, err := secrets.Credentials(p.Credentials)
	if err != nil {
		return nil, err
	}
	if key, problem := proxyLoginProblem(u.Scheme, username, password); problem != "" {
		return nil, &ReferenceError{"Secret", p.Credentials.SecretRef.Name, key, errors.New(problem)}
	}
	u.User = url.UserPassword(username, password)
	return u, nil
}

// proxyLoginProblem says which key of a login a proxy of that scheme cannot be given, and
// why (RFC 1929 section 2, RFC 7617 section 2).
func proxyLoginProblem(scheme, username, password string) (key, problem string) {
	const long = "has more than 255 bytes, which SOCKS5 cannot send; shorten it"
	switch socks := scheme == "socks5"; {
	case socks && username == "":
		return KeyUsername, "is empty or missing; SOCKS5 has no login without a user name, set it"
	case socks && len(username) > math.MaxUint8:
		return KeyUsername, long
	case socks && len(password) > math.MaxUint8:
		return KeyPassword, long
	case !socks && strings.Contains(username, ":"):
		return KeyUsername, "holds a colon, which the user name of an HTTP proxy cannot have; use another user name"
	}
	return "", ""
}
