// Copyright 2026 The mqttbridge-operator Authors.
// SPDX-License-Identifier: Apache-2.0

// Package diagnosis explains failures to users: it maps the errors of packages transport and session
// to a reason of the API and a message with its remedy.
//
// The kind of an error says what happened and at which step: while connecting, probing, subscribing or
// publishing, or in use. Each kind has one row in a table. Only the name of the setting that bounds
// the time of an attempt depends on the caller: see [Of] and [OfProbe].
//
// The same failure always has the same message, because the message is part of a status that is
// written only when it changes. The facts in an error contain no secrets.
package diagnosis

import (
	"errors"
	"fmt"
	"strings"

	"github.com/mqttbridge/mqttbridge-operator/api/v1alpha1"
	"github.com/mqttbridge/mqttbridge-operator/bridge-runner/session"
	"github.com/mqttbridge/mqttbridge-operator/bridge-runner/transport"
	"github.com/mqttbridge/mqttbridge-operator/internal/printable"
)

// Problem is a failure as users see it. It is also an error, so that it can be returned in place of an
// error of package session.
type Problem struct {
	// Reason is a reason of package v1alpha1.
	Reason string
	// Message says what happened and what to do.
	Message string
}

func (p *Problem) Error() string { return p.Message }

// Permanent reports whether the server refuses the client until the configuration of one of the two
// changes. Frequent retries do not help then, and may lock an account.
func (p *Problem) Permanent() bool {
	switch p.Reason {
	case v1alpha1.ReasonAuthenticationFailed, v1alpha1.ReasonClientIDRejected, v1alpha1.ReasonProtocolVersionRefused,
		v1alpha1.ReasonEchoNotPrevented:
		return true
	}
	return false
}

// Problems that the runner itself finds.
var (
	// EchoReceived says that a server sends the bridge's own messages back.
	EchoReceived = &Problem{
		Reason: v1alpha1.ReasonEchoNotPrevented,
		Message: "the server sends the bridge's own messages back, and the rules forward them again in a loop; the bridge does not use this server until the spec is changed or the runner restarts; " +
			"set protocolVersion: '5' on this side, or change the rules so that they form no loop, or check for another bridge between the same servers",
	}
	// MessageTooLarge says that a message exceeds the server's maximum packet size.
	MessageTooLarge = &Problem{
		Reason:  v1alpha1.ReasonPublishRefused,
		Message: "the message is larger than the server's maximum packet size; raise the server's limit, or send smaller messages",
	}
)

// ReferenceMissing explains that the configuration of a server is incomplete, because of err.
func ReferenceMissing(err error) *Problem {
	return &Problem{Reason: v1alpha1.ReasonReferenceMissing, Message: err.Error()}
}

// CredentialsUnusable explains that the bridge keeps its connection, because the changed credentials
// cannot be used.
func CredentialsUnusable(err error) *Problem {
	return &Problem{
		Reason:  v1alpha1.ReasonCredentialsUnusable,
		Message: "the credentials, the client certificate or the CA have changed and cannot be used, so that the bridge keeps its connection, which uses the previous ones: " + err.Error(),
	}
}

// ClientIDRefused explains that the bridge continues with the session of a client identifier, because the server
// refuses the wanted one.
func ClientIDRefused(err error, inUse, wanted string) *Problem {
	why := Of(err)
	return &Problem{why.Reason, fmt.Sprintf("the client identifier cannot be changed, so that the bridge continues with %q, and tries again after failover.retry.maxSeconds; with %q: %s", inUse, wanted, why.Message)}
}

// SomeSubscriptionsRefused explains that a server in use refuses some of the bridge's filters.
func SomeSubscriptionsRefused(err *session.Error) *Problem {
	return &Problem{v1alpha1.ReasonSubscriptionRefused, refusedFilters(err.Refused) + "; the other filters work, and the bridge subscribes again after failover.retry.maxSeconds"}
}

// Of explains why an attempt failed, a session ended or a message was refused. It describes nil, and an
// error of an unknown type, as a closed connection.
func Of(err error) *Problem { return explain(err, "failover.connectTimeoutSeconds") }

// OfProbe explains why a probe failed.
func OfProbe(err error) *Problem { return explain(err, "failover.probe.timeoutSeconds") }

// explain explains an error. timeout names the setting that bounds the time of the attempt.
func explain(err error, timeout string) *Problem {
	var (
		failed *session.Error
		known  *Problem
		below  *transport.Error
	)
	switch {
	case err == nil:
		return &Problem{v1alpha1.ReasonConnectionClosed, "the session ended"}
	case errors.As(err, &failed):
		return ofSession(failed, timeout)
	case errors.As(err, &known):
		return known
	case errors.As(err, &below):
		return ofTransport(below, timeout)
	}
	return &Problem{v1alpha1.ReasonConnectionClosed, err.Error()}
}

// row is the explanation of a kind of failure. The text contains placeholders for facts, such as
// {proxy}: see transportFact and sessionFact.
type row struct{ reason, text string }

// problem returns the problem that a row describes. fact returns the value of a placeholder.
func (r row) problem(fact func(name string) string) *Problem {
	return &Problem{r.reason, fill(r.text, fact)}
}

// maxFact is the largest length of a fact in a message, in bytes. A server may choose a text of hundreds of
// kilobytes: an error about its certificate quotes the certificate.
const maxFact = 2048

// fill replaces the placeholders in a text. It replaces nothing in their values.
func fill(text string, fact func(name string) string) string {
	var filled strings.Builder
	for {
		before, rest, found := strings.Cut(text, "{")
		filled.WriteString(before)
		if !found {
			return filled.String()
		}
		name, after, _ := strings.Cut(rest, "}")
		filled.WriteString(printable.Short(fact(name), maxFact)) // a server may have chosen it
		text = after
	}
}

// unknown is the value of a placeholder that no error has. A test finds it.
func unknown(name string) string { return "{" + name + "}" }
