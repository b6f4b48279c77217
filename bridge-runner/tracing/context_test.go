// Copyright 2026 The mqttbridge-operator Authors.
// SPDX-License-Identifier: Apache-2.0

package tracing

import (
	"context"
	"slices"
	"testing"

	"go.opentelemetry.io/otel/propagation"
	"go.opentelemetry.io/otel/trace"

	"github.com/mqttbridge/mqttbridge-operator/bridge-runner/packet"
)

const (
	traceID = "0af7651916cd43dd8448eb211c80319c"
	spanID  = "b7ad6b7169203331"
	sampled = "00-" + traceID + "-" + spanID + "-01"
)

// properties returns properties with the user properties of the names and values in turn.
func properties(all ...string) *packet.Properties {
	var p packet.Properties
	for i := 0; i < len(all); i += 2 {
		p.User = p.User.With(packet.UserProperty{Name: all[i], Value: all[i+1]})
	}
	return &p
}

// list returns the names and values of the user properties in turn.
func list(p *packet.Properties) (all []string) {
	for name, value := range p.User.All() {
		all = append(all, name, value)
	}
	return all
}

// The propagator of OpenTelemetry must agree about all of these values.
func TestParseParent_ValidAndInvalidValues_AgreesWithOpenTelemetry(t *testing.T) {
	for value, want := range map[string]bool{
		sampled:                                    true,
		"00-" + traceID + "-" + spanID + "-00":     true,
		"cc-" + traceID + "-" + spanID + "-01":     true,
		"cc-" + traceID + "-" + spanID + "-01-new": true,
		"":                                     false,
		"00":                                   false,
		sampled + "-more":                      false,
		sampled + "x":                          false,
		sampled[:54]:                           false,
		"ff-" + traceID + "-" + spanID + "-01": false,
		"0g-" + traceID + "-" + spanID + "-01": false,
		"00-0AF7651916CD43DD8448EB211C80319C-" + spanID + "-01": false,
		"00-00000000000000000000000000000000-" + spanID + "-01": false,
		"00-" + traceID + "-0000000000000000-01":                false,
		"00-" + traceID + "-" + spanID + "-zz":                  false,
		"00_" + traceID + "-" + spanID + "-01":                  false,
		"00-" + traceID + "_" + spanID + "-01":                  false,
		"00-" + traceID + "-" + spanID + "_01":                  false,
	} {
		got := parseParent(value)
		if got.IsValid() != want {
			t.Errorf("%q is valid: %v, want %v", value, got.IsValid(), want)
		}
		ctx := propagation.TraceContext{}.Extract(context.Background(), propagation.MapCarrier{propertyParent: value})
		if theirs := trace.SpanContextFromContext(ctx); got.IsValid() != theirs.IsValid() || got.IsValid() && !got.Equal(theirs) {
			t.Errorf("%q is %+v, and OpenTelemetry reads %+v", value, got, theirs)
		}
	}
}

func TestParseParent_UnknownFlags_AreIgnored(t *testing.T) {
	got := parseParent("00-" + traceID + "-" + spanID + "-ff")
	if !got.IsValid() || !got.IsSampled() || got.TraceFlags() != knownFlags {
		t.Errorf("the result is %+v", got)
	}
}

func TestExtract_UserProperties_ReturnsContextIfItIsUnique(t *testing.T) {
	for _, c := range []struct {
		name  string
		from  *packet.Properties
		valid bool
		state string
	}{
		{"no properties", nil, false, ""},
		{"no user properties", &packet.Properties{}, false, ""},
		{"others", properties("a", "1", "Traceparent", sampled), false, ""},
		{"context", properties("a", "1", propertyParent, sampled, propertyState, "x=1", "b", "2"), true, "x=1"},
		{"state in two properties", properties(propertyState, "x=1", propertyParent, sampled, propertyState, "y=2"), true, "x=1,y=2"},
		{"two parents", properties(propertyParent, sampled, propertyParent, sampled), false, ""},
		{"invalid parent", properties(propertyParent, "x", propertyState, "x=1"), false, "x=1"},
	} {
		got := extract(c.from)
		if got.parent.IsValid() != c.valid || got.state != c.state {
			t.Errorf("%s: %+v", c.name, got)
		}
	}
}

func TestContext_InvalidState_IsLeftOut(t *testing.T) {
	c := carried{parent: parseParent(sampled), state: "no state"}
	if got := c.context(); !got.IsValid() || got.TraceState().Len() != 0 {
		t.Errorf("the context is %+v", got)
	}
	c.state = "x=1"
	if got := c.context(); got.TraceState().String() != "x=1" {
		t.Errorf("the state is %q", got.TraceState())
	}
}

func TestInject_PropertiesOfMessage_ReplacesOnlyTheContext(t *testing.T) {
	span := parseParent("00-" + traceID + "-00f067aa0ba902b7-01")
	const next = "00-" + traceID + "-00f067aa0ba902b7-01"
	for _, c := range []struct {
		name      string
		from      *packet.Properties
		hasParent bool
		want      []string
	}{
		{"no properties", nil, false, []string{propertyParent, next}},
		{
			"parent and state", properties("z", "1", propertyParent, sampled, "a", "", propertyState, "x=1", "z", "2"), true,
			[]string{"z", "1", "a", "", propertyState, "x=1", "z", "2", propertyParent, next},
		},
		{"state of an unknown trace", properties(propertyParent, "x", propertyState, "x=1", "a", "1"), false, []string{"a", "1", propertyParent, next}},
	} {
		var before packet.Properties
		if c.from != nil {
			c.from.ContentType, c.from.Expires, c.from.Expiry = "text/plain", true, 60
			before = *c.from
		}
		got := inject(c.from, span, c.hasParent)
		if all := list(got); !slices.Equal(all, c.want) {
			t.Errorf("%s: %q, want %q", c.name, all, c.want)
		}
		if c.from != nil && (*c.from != before || got.ContentType != "text/plain" || !got.Expires || got.Expiry != 60) {
			t.Errorf("%s: the received properties are %+v, the result is %+v", c.name, c.from, got)
		}
	}
}

func TestExtract_MessageThatIsNotSampled_AllocatesNothing(t *testing.T) {
	p := properties("a", "1", propertyParent, "00-"+traceID+"-"+spanID+"-00", propertyState, "x=1")
	if n := testing.AllocsPerRun(100, func() {
		if c := extract(p); c.parent.IsSampled() {
			t.Error("the message is sampled")
		}
	}); n != 0 {
		t.Errorf("it allocates %v times", n)
	}
}
