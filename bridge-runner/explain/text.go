// Copyright 2026 The mqttbridge-operator Authors.
// SPDX-License-Identifier: Apache-2.0

package explain

import (
	"bytes"
	"fmt"
	"io"
	"strings"

	"k8s.io/apimachinery/pkg/api/resource"

	"github.com/mqttbridge/mqttbridge-operator/api/v1alpha1"
	"github.com/mqttbridge/mqttbridge-operator/internal/count"
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
	writeLimits(out, b.Policies)
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

// writeLimits writes a line for each direction, or one line if both directions have the same limits.
func writeLimits(out *bytes.Buffer, all []Policies) {
	if len(all) == 2 && all[0].limits() == all[1].limits() {
		fmt.Fprintf(out, "limits of both directions: %s\n", all[0].limits())
		return
	}
	for i := range all {
		fmt.Fprintf(out, "limits of %s: %s\n", all[i].Direction, all[i].limits())
	}
}

// limits describes the policies in one line.
func (p *Policies) limits() string {
	wait := "up to " + size(int64(p.MemoryBytes)) + " wait in memory"
	if p.DiskBytes > 0 {
		wait += ", and up to " + size(p.DiskBytes) + " on disk"
		if p.TTLSeconds > 0 {
			wait += fmt.Sprintf(" for at most %d s", p.TTLSeconds)
		}
		wait += fmt.Sprintf(" (when full: %s)", p.WhenFull)
	}
	qos0, unforwardable := "dropped", "is dropped"
	if p.BuffersQoS0 {
		qos0 = "kept"
	}
	if p.Unforwardable == v1alpha1.UnforwardableBlock {
		unforwardable = "blocks the direction"
	}
	if p.DeadLetterTopic != "" {
		unforwardable += fmt.Sprintf(", and published on the source as %q", p.DeadLetterTopic)
	}
	parts := []string{
		"packets of up to " + size(int64(p.MaximumPacketSize)), wait,
		"QoS 0 messages are " + qos0 + " while the destination is down",
		"a message that no server accepts " + unforwardable,
	}
	if p.MaxHops > 0 {
		parts = append(parts, "a message that has passed "+count.Of(p.MaxHops, "bridge")+" is dropped (delivery.maxHops)")
	}
	return strings.Join(parts, "; ")
}

// size shows a number of bytes as the manifest would, such as 8Mi, or rounded.
func size(n int64) string {
	exact := resource.NewQuantity(n, resource.BinarySI).String()
	if n < 1<<20 || strings.HasSuffix(exact, "i") && len(exact) <= len("9999Mi") {
		return exact
	}
	return fmt.Sprintf("about %dMi", (n+1<<19)>>20)
}
