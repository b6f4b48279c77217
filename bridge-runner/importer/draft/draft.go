// Copyright 2026 The mqttbridge-operator Authors.
// SPDX-License-Identifier: Apache-2.0

// Package draft collects the parts of a bridge while its configuration is read: the manifest, the
// values of its Secret, and a finding for each key that has no counterpart or works differently.
// The packages of the formats fill it.
package draft

import (
	"errors"
	"fmt"
	"regexp"
	"slices"
	"strings"

	"k8s.io/utils/ptr"

	"github.com/mqttbridge/mqttbridge-operator/api/v1alpha1"
	"github.com/mqttbridge/mqttbridge-operator/bridge-runner/importer/tree"
	"github.com/mqttbridge/mqttbridge-operator/internal/manifest"
	"github.com/mqttbridge/mqttbridge-operator/internal/printable"
)

// Kind is the kind of a finding.
type Kind int

// The kinds of findings.
const (
	// Note is something to know or to do. Nothing is lost.
	Note Kind = iota
	// Changed means that a key was imported, but works differently.
	Changed
	// LeftOut means that a key has no counterpart.
	LeftOut
	// Refused means that the whole bridge was not imported.
	Refused
)

var kinds = [...]string{Note: "note", Changed: "changed", LeftOut: "left out", Refused: "not imported"}

func (k Kind) String() string { return kinds[k] }

// Finding is a remark about a key.
type Finding struct {
	Kind Kind
	// Line is the line of the key, or 0 if the finding is not about a line.
	Line int
	// Key is the key. It may be empty.
	Key  string
	Text string
}

func (f Finding) String() string {
	var parts []string
	if f.Line > 0 {
		parts = append(parts, fmt.Sprintf("line %d", f.Line))
	}
	if f.Key != "" {
		parts = append(parts, f.Key)
	}
	return printable.Text(strings.Join(append(parts, f.Kind.String(), f.Text), ": "))
}

// Options control an import.
type Options struct {
	// Local is the URL of the broker whose configuration is read. Empty: localhost, and the
	// port of the configuration.
	Local string
	// Namespace is the namespace of the bridges. It may be empty.
	Namespace string
	// ReadFile reads a certificate or key that the configuration names. Nil: none is read.
	ReadFile func(path string) ([]byte, error)
	// Names are the names of bridges that are in use.
	Names map[string]bool

	// last is the last number that was appended to a name.
	last map[string]int
}

// Bridge is a bridge that is being imported.
type Bridge struct {
	// Source is the name of the bridge in the configuration, and Line the line of its beginning.
	Source   string
	Line     int
	Manifest v1alpha1.MQTTBridge
	// Secrets holds the values of the Secrets: name, then key. Both are sorted when they are
	// written.
	Secrets  map[string]map[string]string
	Findings []Finding

	opts *Options
	errs []error
	// plain is the finding about a key that turns bridgeMode off, or nil.
	plain *Finding
}

// New returns an empty bridge. The name of the manifest is made of source, so that it is a valid
// name and no other bridge has it.
func New(opts *Options, source string, line int) *Bridge {
	b := &Bridge{Source: source, Line: line, Secrets: map[string]map[string]string{}, opts: opts}
	name := opts.newName(objectName(source))
	b.Manifest.APIVersion, b.Manifest.Kind = v1alpha1.GroupVersion.String(), "MQTTBridge"
	b.Manifest.Name, b.Manifest.Namespace = name, opts.Namespace
	if name != source {
		b.Note(line, source, "the bridge is called %s, because the name of a Kubernetes object consists of lower case letters, digits and '-', and no two bridges have the same name", name)
	}
	return b
}

// newName returns a name that no other bridge has: the name, or the name with a number.
func (o *Options) newName(name string) string {
	if o.Names == nil {
		return name
	}
	if o.last == nil {
		o.last = map[string]int{}
	}
	free := name
	for o.Names[free] {
		o.last[name] = max(o.last[name], 1) + 1
		free = fmt.Sprintf("%s-%d", name, o.last[name])
	}
	o.Names[free] = true
	return free
}

// maxName is the length of the longest name that is made of the name in a configuration. It leaves
// room for a number.
const maxName = 48

// objectName makes a name of a Kubernetes object.
func objectName(source string) string {
	name := strings.Map(func(r rune) rune {
		switch {
		case r >= 'a' && r <= 'z', r >= '0' && r <= '9':
			return r
		case r >= 'A' && r <= 'Z':
			return r - 'A' + 'a'
		}
		return '-'
	}, source)
	name = strings.Trim(name, "-")
	if len(name) > maxName {
		name = strings.Trim(name[:maxName], "-")
	}
	if name == "" {
		return "bridge"
	}
	return name
}

// Spec returns the spec of the manifest.
func (b *Bridge) Spec() *v1alpha1.MQTTBridgeSpec { return &b.Manifest.Spec }

// Note adds a finding of kind Note.
func (b *Bridge) Note(line int, key, format string, args ...any) {
	b.add(Note, line, key, format, args...)
}

// Changed adds a finding of kind Changed.
func (b *Bridge) Changed(line int, key, format string, args ...any) {
	b.add(Changed, line, key, format, args...)
}

// comment matches the begin of a comment in a value.
var comment = regexp.MustCompile(`(^|[ \t])#`)

// NoteComment adds a note if the value of a key seems to end with a comment. program is the program whose
// configuration has no such comments. The note does not contain the value, which may be a secret.
func (b *Bridge) NoteComment(line int, key, value, program string) {
	if comment.MatchString(value) {
		b.Note(line, key, "the text from # on belongs to the value, because %s has comments only in lines of their own; remove it from the manifest if it is a comment", program)
	}
}

// LeftOut adds a finding of kind LeftOut.
func (b *Bridge) LeftOut(line int, key, format string, args ...any) {
	b.add(LeftOut, line, key, format, args...)
}

// Refuse adds a finding of kind Refused: the bridge is not imported.
func (b *Bridge) Refuse(line int, key, format string, args ...any) {
	b.add(Refused, line, key, format, args...)
}

func (b *Bridge) add(kind Kind, line int, key, format string, args ...any) {
	text := format
	if len(args) > 0 {
		text = fmt.Sprintf(format, args...)
	}
	b.Findings = append(b.Findings, Finding{Kind: kind, Line: line, Key: key, Text: text})
}

// Fail records a fault in the configuration.
func (b *Bridge) Fail(line, column int, format string, args ...any) {
	b.errs = append(b.errs, tree.Errorf(line, column, format, args...))
}

// Has reports whether there is a finding of a kind.
func (b *Bridge) Has(kind Kind) bool {
	return slices.ContainsFunc(b.Findings, func(f Finding) bool { return f.Kind == kind })
}

// Finish completes the bridge when all keys have been read, and validates the manifest. A manifest
// that is invalid is refused. The error reports faults in the configuration.
func (b *Bridge) Finish() error {
	if err := errors.Join(b.errs...); err != nil {
		return err
	}
	s := b.Spec()
	s.LocalToRemote = b.nameRules(s.LocalToRemote)
	s.RemoteToLocal = b.nameRules(s.RemoteToLocal)
	defer b.sort()
	switch {
	case b.Has(Refused):
		return nil
	case len(s.LocalToRemote)+len(s.RemoteToLocal) == 0:
		b.Refuse(b.Line, b.Source, "the bridge has no topics that could be imported")
		return nil
	}
	b.setBridgeMode()
	for _, err := range manifest.Validate(&b.Manifest) {
		b.Refuse(b.Line, b.Source, "the manifest would be invalid: %v", err)
	}
	return nil
}

// AddRule adds a rule from local to remote if out is true, and otherwise from remote to local. A rule
// that is invalid is left out. line and key are the line and the key of its topic.
func (b *Bridge) AddRule(out bool, line int, key string, rule v1alpha1.Rule) {
	side := func(url string) v1alpha1.Side {
		return v1alpha1.Side{Primary: v1alpha1.Server{URL: url}, ProtocolVersion: ptr.To(v1alpha1.ProtocolVersion5)}
	}
	alone := &v1alpha1.MQTTBridge{TypeMeta: b.Manifest.TypeMeta, Spec: v1alpha1.MQTTBridgeSpec{Local: side("mqtt://local"), Remote: side("mqtt://remote")}}
	alone.Name = "alone"
	rules, only := &b.Spec().RemoteToLocal, &alone.Spec.RemoteToLocal
	if out {
		rules, only = &b.Spec().LocalToRemote, &alone.Spec.LocalToRemote
	}
	*only = []v1alpha1.Rule{rule}
	if errs := manifest.Validate(alone); len(errs) > 0 {
		b.LeftOut(line, key, "the rule with the filter %q and the topic %q is invalid: %s", rule.Filter, topicOf(rule), errs[0].Detail)
		return
	}
	*rules = append(*rules, rule)
}

// setBridgeMode turns bridgeMode off on the remote side, if the configuration asks for it and the
// rules permit it.
func (b *Bridge) setBridgeMode() {
	if b.plain == nil {
		return
	}
	remote := &b.Spec().Remote
	remote.BridgeMode = ptr.To(v1alpha1.BridgeModeOff)
	if len(manifest.Validate(&b.Manifest)) == 0 {
		return
	}
	remote.BridgeMode = nil
	if len(manifest.Validate(&b.Manifest)) == 0 {
		b.Findings = append(b.Findings, *b.plain)
	}
}

// BridgeModeOff turns bridgeMode off on the remote side, unless the rules would then form a loop.
func (b *Bridge) BridgeModeOff(line int, key string) {
	b.plain = &Finding{Kind: Changed, Line: line, Key: key, Text: "messages are forwarded in both directions under the same topics, so the bridge has to identify itself as a bridge: otherwise the server sends it its own messages; if the server does not support this, use MQTT 5"}
}

// sort orders the findings by line.
func (b *Bridge) sort() {
	slices.SortStableFunc(b.Findings, func(x, y Finding) int { return x.Line - y.Line })
}

// nameRules gives a name to rules whose filter another rule has, too, and drops rules that are
// there twice. It refuses more rules than a manifest can have.
func (b *Bridge) nameRules(rules []v1alpha1.Rule) []v1alpha1.Rule {
	var out []v1alpha1.Rule
	type ends struct{ filter, topic string }
	filters, seen := map[string]bool{}, map[ends]bool{}
	for _, r := range rules {
		rule := ends{r.Filter, topicOf(r)}
		if seen[rule] {
			b.Changed(b.Line, b.Source, "the topic %s is configured twice with the same destination; the manifest has it once", r.Filter)
			continue
		}
		if filters[r.Filter] {
			r.Name = r.Filter + " to " + rule.topic
		}
		filters[r.Filter], seen[rule] = true, true
		out = append(out, r)
	}
	if len(out) > manifest.MaxRules {
		b.Refuse(b.Line, b.Source, "the bridge has %d topics in one direction, and at most %d are possible; combine topics by wildcards, or divide the bridge into several", len(out), manifest.MaxRules)
		out = out[:manifest.MaxRules]
	}
	return out
}

func topicOf(r v1alpha1.Rule) string {
	if r.Topic == "" {
		return v1alpha1.DefaultTopic
	}
	return r.Topic
}
