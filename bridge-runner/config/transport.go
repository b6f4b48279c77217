// Copyright 2026 The mqttbridge-operator Authors.
// SPDX-License-Identifier: Apache-2.0

package config

import (
	"errors"
	"math"
	"net/url"
	"strings"

	"github.com/mqttbridge/mqttbridge-operator/bridge-runner/transport"
	"github.com/mqttbridge/mqttbridge-operator/internal/manifest"
)

// Transport returns the settings for the next attempt to connect to a server of a side, with
// the current contents of the Secrets and ConfigMaps. If one of them is missing or unusable,
// the error is of type *[ReferenceError].
func Transport(side *Side, server *Server, secrets Secrets) (transport.Config, error) {
	cfg := transport.Config{
		HostPort:    server.Address.HostPort,
		WebSocket:   server.Address.WebSocket,
		Path:        server.Address.Path,
		UserTimeout: side.AckTimeout,
	}
	var err error
	if server.Address.TLS {
		if cfg.TLS, err = secrets.tls(&server.TLS); err != nil {
			return transport.Config{}, err
		}
	}
	if server.Proxy.Scheme != "" {
		if cfg.Proxy, err = secrets.proxyURL(&server.Proxy); err != nil {
			return transport.Config{}, err
		}
	}
	if cfg.Header, err = secrets.header(server.Headers); err != nil {
		return transport.Config{}, err
	}
	if server.Query.Secret != "" {
		if cfg.Path, err = secrets.path(server.Address.Path, server.Query); err != nil {
			return transport.Config{}, err
		}
	}
	return cfg, nil
}

// proxyURL returns the URL of a proxy, including the user name and password.
func (s Secrets) proxyURL(p *Proxy) (*url.URL, error) {
	u := &url.URL{Scheme: p.Scheme, Host: p.HostPort}
	if p.LoginSecret == "" {
		return u, nil
	}
	username, password, err := s.login(p.LoginSecret)
	if err != nil {
		return nil, err
	}
	if key, problem := proxyLoginProblem(u.Scheme, username, password); problem != "" {
		return nil, &ReferenceError{kindSecret, p.LoginSecret, key, errors.New(problem)}
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
		return manifest.KeyUsername, "is empty or missing; SOCKS5 does not allow a login without a user name: set the user name"
	case socks && len(username) > math.MaxUint8:
		return manifest.KeyUsername, long
	case socks && len(password) > math.MaxUint8:
		return manifest.KeyPassword, long
	case !socks && strings.Contains(username, ":"):
		return manifest.KeyUsername, "contains a colon, which is not allowed in the user name for an HTTP proxy; use another user name"
	}
	return "", ""
}
