// Copyright 2026 The mqttbridge-operator Authors.
// SPDX-License-Identifier: Apache-2.0

package config

import (
	"errors"
	"math"
	"net/url"
	"strings"

	"github.com/mqttbridge/mqttbridge-operator/api/v1alpha1"
	"github.com/mqttbridge/mqttbridge-operator/bridge-runner/transport"
)

// Transport returns the settings for the next attempt to connect to a server, with the
// current contents of the Secrets and ConfigMaps. The server's settings override its side's.
// The defaults of the side must be resolved. If a Secret or ConfigMap is missing or unusable,
// the error is of type *[ReferenceError].
func Transport(side *v1alpha1.Side, server *v1alpha1.Server, secrets Secrets) (transport.Config, error) {
	address, err := ParseURL(server.URL)
	if err != nil {
		return transport.Config{}, err
	}
	cfg := transport.Config{
		HostPort:  address.HostPort,
		WebSocket: address.WebSocket,
		Path:      address.Path,
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

// proxyURL returns the URL of a proxy, including the user name and password.
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

// proxyLoginProblem returns the key of the user name or password that the login to a proxy
// with this scheme cannot carry, and the reason and remedy (RFC 1929 section 2, RFC 7617
// section 2). It returns empty strings if there is no problem.
func proxyLoginProblem(scheme, username, password string) (key, problem string) {
	const long = "has more than 255 bytes, the largest length in SOCKS5; shorten it"
	switch socks := scheme == "socks5"; {
	case socks && username == "":
		return KeyUsername, "is empty or missing; SOCKS5 does not allow a login without a user name: set the user name"
	case socks && len(username) > math.MaxUint8:
		return KeyUsername, long
	case socks && len(password) > math.MaxUint8:
		return KeyPassword, long
	case !socks && strings.Contains(username, ":"):
		return KeyUsername, "contains a colon, which is not allowed in the user name for an HTTP proxy; use another user name"
	}
	return "", ""
}
