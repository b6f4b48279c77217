// Copyright 2026 The mqttbridge-operator Authors.
// SPDX-License-Identifier: Apache-2.0

package config

import (
	"errors"
	"math"
	"slices"
	"strings"
	"unicode/utf8"

	"github.com/mqttbridge/mqttbridge-operator/bridge-runner/packet"
	"github.com/mqttbridge/mqttbridge-operator/internal/manifest"
)

// Source names the origin of the user name and the password, for errors. It is empty if the
// login is zero.
func (l *Login) Source() string {
	var origins []string
	if l.Username != "" {
		origins = append(origins, "credentials.username")
	}
	for _, ref := range []manifest.Reference{l.UsernameFrom, l.Password} {
		if origin := "the " + ref.Object(); !ref.IsZero() && !slices.Contains(origins, origin) {
			origins = append(origins, origin)
		}
	}
	return strings.Join(origins, " and ")
}

// login returns the user name and password of a login. It removes line ends at the end of a
// Secret's value and a byte order mark at its beginning, because files from which Secrets are
// made often have them. A value may be empty. A missing key is an error.
func (s Secrets) login(l *Login) (username, password string, err error) {
	username = l.Username
	if !l.UsernameFrom.IsZero() {
		value, err := s.read(l.UsernameFrom)
		if err != nil {
			return "", "", err
		}
		username = trimmed(value)
	}
	if !l.Password.IsZero() {
		value, err := s.read(l.Password)
		if err != nil {
			return "", "", err
		}
		password = trimmed(value)
	}
	return username, password, nil
}

// Login returns the user name and password of a login. It returns an error if a CONNECT of the
// given MQTT version cannot carry them (section 3.1.3). Values in the manifest are validated, so
// that only values of Secrets can be unusable.
func (s Secrets) Login(l *Login, version packet.Version) (username, password string, err error) {
	username, password, err = s.login(l)
	if err != nil {
		return "", "", err
	}
	unusable := func(ref manifest.Reference, problem string) (string, string, error) {
		return "", "", &ReferenceError{Reference: ref, Problem: errors.New(problem)}
	}
	switch {
	case len(username) > math.MaxUint16:
		return unusable(l.UsernameFrom, tooLong)
	case len(password) > math.MaxUint16:
		return unusable(l.Password, tooLong)
	case !utf8.ValidString(username) || strings.Contains(username, "\x00"): // [MQTT-1.5.3-1], [MQTT-1.5.3-2]
		return unusable(l.UsernameFrom, "is not valid UTF-8, or contains a NUL character, which MQTT does not allow in a user name; correct it")
	case username == "" && password != "" && version == packet.V311: // [MQTT-3.1.2-22]
		return unusable(l.UsernameFrom, "is empty, but the password is not; MQTT 3.1.1 does not allow a password without a user name: set the user name, or set protocolVersion: \"5\" on this side")
	}
	return username, password, nil
}

const tooLong = "has more than 65535 bytes, the largest length in MQTT; shorten it"
