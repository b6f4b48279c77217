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

// Transport returns the settings for the next attempt to connect to a server, with the current
// contents of the objects that the manifest names. If one of them is missing or unusable, the error
// is of type *[ReferenceError].
func Transport(server *Server, secrets Secrets) (transport.Config, error) {
	cfg := transport.Config{
		HostPort:  server.Address.HostPort,
		WebSocket: server.Address.WebSocket,
		Path:      server.Address.Path,
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
	if !server.Query.IsZero() {
		if cfg.Path, err = secrets.path(server.Address.Path, server.Query); err != nil {
			return transport.Config{}, err
		}
	}
	return cfg, nil
}

// proxyURL returns the URL of a proxy, including the user name and password.
func (s Secrets) proxyURL(p *Proxy) (*url.URL, error) {
	u := &url.URL{Scheme: p.Scheme, Host: p.HostPort}
	if p.Login == (Login{}) {
		return u, nil
	}
	username, password, err := s.login(&p.Login)
	if err != nil {
		return nil, err
	}
	if ref, problem := proxyLoginProblem(p, username, password); problem != "" {
		return nil, &ReferenceError{Reference: ref, Problem: errors.New(problem)}
	}
	u.User = url.UserPassword(username, password)
	return u, nil
}

// proxyLoginProblem returns the reference to the user name or password that the login to a proxy
// cannot carry, and the reason and remedy (RFC 1929 section 2, RFC 7617 section 2). The problem
// is empty if there is none.
func proxyLoginProblem(p *Proxy, username, password string) (ref manifest.Reference, problem string) {
	const long = "has more than 255 bytes, the largest length in SOCKS5; shorten it"
	switch socks := p.Scheme == "socks5"; {
	case socks && username == "":
		return p.Login.UsernameFrom, "is empty; SOCKS5 does not allow a login without a user name: set the user name"
	case socks && len(username) > math.MaxUint8:
		return p.Login.UsernameFrom, long
	case socks && len(password) > math.MaxUint8:
		return p.Login.Password, long
	case !socks && strings.Contains(username, ":"):
		return p.Login.UsernameFrom, "contains a colon, which is not allowed in the user name for an HTTP proxy; use another user name"
	}
	return ref, ""
}
