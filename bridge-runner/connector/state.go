// Copyright 2026 The mqttbridge-operator Authors.
// SPDX-License-Identifier: Apache-2.0

package connector

import "github.com/mqttbridge/mqttbridge-operator/bridge-runner/session"

// serverState is the connector's knowledge of one server.
type serverState struct {
	sessionKey
	// next is the subscribed session of another client identifier that replaces the session when that is
	// drained. It is nil if there is none. See transfer.go.
	next *sessionKey
	// unsubscribeFailures is the number of connections on which the session could not be unsubscribed since next
	// is set.
	unsubscribeFailures int
	// obsolete is the client identifier of a session that the bridge has left and is to end. It is empty if
	// there is none.
	obsolete string
	// refusal is the latest refusal of a transfer.
	refusal refusal
	// stale is true if the server may hold a stale session: the bridge was subscribed
	// there, and has used another server since.
	stale bool
	// failure is the message of the latest failure. It is empty if the server is not known
	// to have failed. A failure that repeats is logged at debug level.
	failure string
	// probeFailure is the message of the latest probe. It is empty if that probe has passed,
	// or if there was none.
	probeFailure string
	// closed is closed when the replaced session with the server has ended. It is nil if no
	// session with the server was replaced.
	closed chan struct{}
	// opened are the settings of the latest connection.
	opened opened
	// subscribedFor are the settings whose subscriptions the latest session has. nil: none
	subscribedFor *Settings
	// refused are the filters that the server refuses in the latest session.
	refused refusedFilters
}

func newServerState() *serverState { return &serverState{sessionKey: newSession("")} }

// sessionKey is a session of the bridge on a server.
type sessionKey struct {
	clientID string
	// session is the bridge's state of the session.
	session *session.State
}

func newSession(clientID string) sessionKey { return sessionKey{clientID, session.NewState()} }

// mayHoldMessages reports whether the server may hold messages for the bridge, as far as this process knows.
func (s *serverState) mayHoldMessages() bool { return s.next != nil || s.session.Subscribed() }

// withoutHistory returns the state of the same server for connections with other settings. The
// result of a probe under way does not count for it.
func (s *serverState) withoutHistory() *serverState {
	next := *s
	next.failure, next.probeFailure = "", ""
	return &next
}

// opened are the settings with which a connection was opened.
type opened struct {
	// session and connection are Settings.Session and Server.Connection.
	session    any
	connection string
	// credentials is the fingerprint of the credentials.
	credentials string
}
