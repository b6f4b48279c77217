// Copyright 2026 The mqttbridge-operator Authors.
// SPDX-License-Identifier: Apache-2.0

package check

import (
	"bytes"
	"fmt"
	"io"
	"strings"
	"time"

	"github.com/mqttbridge/mqttbridge-operator/internal/count"
	"github.com/mqttbridge/mqttbridge-operator/internal/printable"
)

// WriteText writes the report for people. Errors begin with file and line, as compilers show them.
func (r *Report) WriteText(out io.Writer, now time.Time) error {
	var b bytes.Buffer
	for i := range r.Bridges {
		r.Bridges[i].writeText(&b, now)
	}
	_, err := out.Write(b.Bytes())
	return err
}

func (b *Bridge) writeText(out *bytes.Buffer, now time.Time) {
	for _, e := range b.Errors {
		out.WriteString(b.File)
		if e.Line > 0 {
			fmt.Fprintf(out, ":%d", e.Line)
		}
		out.WriteString(": ")
		if e.Field != "" {
			out.WriteString(printable.Text(e.Field) + ": ")
		}
		out.WriteString(printable.Text(e.Message) + "\n")
	}
	if !b.Valid {
		return
	}
	name := b.Name
	if b.Namespace != "" {
		name = b.Namespace + "/" + name
	}
	fmt.Fprintf(out, "%s:%d: the manifest of %s is valid\n", b.File, b.Line, printable.Text(name))
	for i := range b.Servers {
		b.Servers[i].writeText(out, now)
	}
}

// maxLine is the largest size in bytes of a line about a server. A certificate may have names of many kilobytes.
const maxLine = 4000

// writeText writes the facts about a server, a line for each kind.
func (s *Server) writeText(out *bytes.Buffer, now time.Time) {
	state := "usable"
	switch {
	case !s.Usable:
		state = "not usable"
	case s.ClientID == "":
		state = "not connected; its Secrets and ConfigMaps are usable"
	}
	fmt.Fprintf(out, "\n%s server %s (%s): %s\n", s.Side, s.Name, s.URL, state)
	line := func(label, format string, args ...any) {
		fmt.Fprintf(out, "  %-11s%s\n", label, printable.Short(fmt.Sprintf(format, args...), maxLine))
	}
	if s.Message != "" {
		line("reason", "%s: %s", s.Reason, s.Message)
	}
	if s.ClientID == "" {
		return
	}
	if s.Address != "" {
		line("address", "%s", s.Address)
	}
	if s.TLS != nil {
		line("TLS", "%s", strings.TrimPrefix(s.TLS.Version, "TLS "))
		line("subject", "%s", s.TLS.Subject)
		line("issuer", "%s", s.TLS.Issuer)
		line("expires", "%s, in %s", s.TLS.Expires.Format(time.DateOnly), count.Of(daysUntil(s.TLS.Expires, now), "day"))
	}
	s.writeConnack(line)
	if s.Publish != nil {
		line("published", "%s", s.Publish)
	}
	for _, remark := range s.Remarks {
		line("remark", "%s", remark)
	}
}

// daysUntil returns the number of whole days from now to a time. A difference of the type time.Duration has at most 292
// years, and a certificate without an end expires in the year 9999.
func daysUntil(at, now time.Time) int64 {
	const secondsPerDay = 24 * 60 * 60
	return (at.Unix() - now.Unix()) / secondsPerDay
}

func (s *Server) writeConnack(line func(label, format string, args ...any)) {
	c := s.Connack
	switch {
	case c == nil && s.Address == "": // there is no connection, and the reason says why
		return
	case c == nil:
		line("MQTT", "%s, no answer to CONNECT", s.ProtocolVersion)
		return
	case c.Code != 0:
		line("MQTT", "%s, refused with the code %d after %d ms", s.ProtocolVersion, c.Code, c.Milliseconds)
		return
	}
	line("MQTT", "%s, accepted after %d ms as %s, session present: %s", s.ProtocolVersion, c.Milliseconds, s.ClientID, yes(c.SessionPresent))
	l := c.Limits
	if l == nil {
		line("limits", "a server of MQTT 3.1.1 does not announce limits")
		return
	}
	size := "none"
	if l.MaximumPacketSize > 0 {
		size = count.Of(uint64(l.MaximumPacketSize), "byte")
	}
	line("limits", "receive maximum %d, maximum packet size %s, maximum QoS %d, topic alias maximum %d", l.ReceiveMaximum, size, l.MaximumQoS, l.TopicAliasMaximum)
	line("", "retain %s, wildcard subscriptions %s, subscription identifiers %s, shared subscriptions %s", yes(l.RetainAvailable),
		yes(l.WildcardSubscriptionAvailable), yes(l.SubscriptionIdentifiersAvailable), yes(l.SharedSubscriptionAvailable))
	if l.ServerKeepAliveSeconds != nil {
		line("", "server keep alive %d s", *l.ServerKeepAliveSeconds)
	}
	if l.AssignedClientID != "" {
		line("", "assigned client identifier %s", l.AssignedClientID)
	}
}

// String describes the result of the message for people.
func (p *Publish) String() string {
	if p.Acknowledged {
		return fmt.Sprintf("on %q, acknowledged", p.Topic)
	}
	return fmt.Sprintf("on %q, not acknowledged", p.Topic)
}

func yes(b bool) string {
	if b {
		return "yes"
	}
	return "no"
}
