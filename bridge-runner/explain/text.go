// Copyright 2026 The mqttbridge-operator Authors.
// SPDX-License-Identifier: Apache-2.0

package explain

import (
	"bytes"
	"fmt"
	"io"

	"github.com/mqttbridge/mqttbridge-operator/api/v1alpha1"
	"github.com/mqttbridge/mqttbridge-operator/internal/printable"
)

// WriteText writes the report for people.
func (r *Report) WriteText(out io.Writer) error {
	var b bytes.Buffer
	for i := range r.Bridges {
		if len(r.Bridges) > 1 {
			fmt.Fprintf(&b, "bridge %s\n\n", printable.Text(r.Bridges[i].fullName()))
		}
		r.Bridges[i].writeText(&b)
	}
	_, err := out.Write(b.Bytes())
	return err
}

// fullName returns the name with the namespace, if the manifest has one.
func (b *Bridge) fullName() string {
	if b.Namespace == "" {
		return b.Name
	}
	return b.Namespace + "/" + b.Name
}

func (b *Bridge) writeText(out *bytes.Buffer) {
	for i := range b.Messages {
		b.Messages[i].writeText(out)
	}
	for i := range b.Policies {
		b.Policies[i].writeText(out)
	}
}

func (e *Explanation) writeText(out *bytes.Buffer) {
	fmt.Fprintf(out, "%q, published at QoS %d, %s\n", e.Topic, e.QoS, retained(e.Retain))
	for i := range e.Directions {
		d := &e.Directions[i]
		fmt.Fprintf(out, "  published on %s (%s): ", d.Source, d.Direction)
		switch {
		case d.Message != "":
			fmt.Fprintf(out, "not forwarded: %s\n", d.Message)
		case !d.Forwarded:
			out.WriteString("not forwarded\n")
		default:
			fmt.Fprintf(out, "forwarded to %s\n", d.Destination)
		}
		for j := range d.Rules {
			d.Rules[j].writeText(out)
		}
	}
	out.WriteString("\n")
}

func (r *Rule) writeText(out *bytes.Buffer) {
	fmt.Fprintf(out, "    rule %q", r.Name)
	if r.Name != r.Filter {
		fmt.Fprintf(out, " (filter %q)", r.Filter)
	}
	if !r.Forwarded {
		fmt.Fprintf(out, " does not forward it (%s): %s\n", r.Cause, r.Message)
		return
	}
	fmt.Fprintf(out, " publishes %q at QoS %d, %s\n", r.Published.Topic, r.Published.QoS, retained(r.Published.Retain))
	switch {
	case r.StoredRetain == nil:
	case r.RetainHandling != "":
		fmt.Fprintf(out, "      the source sends the stored message by retainHandling: %s\n", r.RetainHandling)
	default:
		fmt.Fprintf(out, "      the source sends the stored message each time that the bridge subscribes; the rule publishes it %s\n", retained(*r.StoredRetain))
	}
	for _, p := range r.Published.UserProperties {
		fmt.Fprintf(out, "      with the user property %s=%s\n", printable.Text(p.Name), printable.Text(p.Value))
	}
	for i := range r.Returns {
		r.Returns[i].writeText(out)
	}
}

func (r *Return) writeText(out *bytes.Buffer) {
	switch r.PreventedBy {
	case PreventedByRule:
		fmt.Fprintf(out, "      does not come back by the rule %q: ", r.Rule)
	case PreventedByNothing:
		fmt.Fprintf(out, "      comes back as %q by the rule %q%s: ", r.Topic, r.Rule, endless(r.Endless))
	default:
		fmt.Fprintf(out, "      could come back as %q by the rule %q%s, and does not: ", r.Topic, r.Rule, endless(r.Endless))
	}
	out.WriteString(r.Message + "\n")
}

func endless(is bool) string {
	if is {
		return ", again and again"
	}
	return ""
}

func retained(is bool) string {
	if is {
		return "retained"
	}
	return "not retained"
}

func (p *Policies) writeText(out *bytes.Buffer) {
	fmt.Fprintf(out, "all messages of %s:\n", p.Direction)
	line := func(format string, args ...any) { fmt.Fprintf(out, "  "+format+"\n", args...) }
	line("a packet of more than %d bytes (maximumPacketSize) is dropped", p.MaximumPacketSize)
	if p.BuffersQoS0 {
		line("while the destination is down, QoS 0 messages are kept")
	} else {
		line("while the destination is down, QoS 0 messages are dropped")
	}
	line("the buffer in memory has %d bytes", p.MemoryBytes)
	if p.DiskBytes > 0 {
		line("the buffer on disk has %d bytes, and when it is full: %s", p.DiskBytes, p.WhenFull)
	}
	if p.TTLSeconds > 0 {
		line("a message waits on disk for at most %d s", p.TTLSeconds)
	}
	if p.Unforwardable == v1alpha1.UnforwardableBlock {
		line("a message that no server of the destination accepts blocks the direction")
	} else {
		line("a message that no server of the destination accepts is dropped")
	}
	if p.DeadLetterTopic != "" {
		line("dead letters are published on the source as %q", p.DeadLetterTopic)
	}
	if p.MaxHops > 0 {
		line("a message that has passed %d bridges is dropped (delivery.maxHops)", p.MaxHops)
	}
}
