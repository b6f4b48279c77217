// Copyright 2026 The mqttbridge-operator Authors.
// SPDX-License-Identifier: Apache-2.0

package packet

import (
	"reflect"
	"testing"
	"unsafe"
)

// wantAllTexts fails if a text in a struct is empty: the test needs a value for each of them.
func wantAllTexts(t *testing.T, v reflect.Value) {
	t.Helper()
	for i := range v.NumField() {
		f := v.Field(i)
		if f.Kind() == reflect.String && f.Len() == 0 {
			t.Fatalf("%s is not tested", v.Type().Field(i).Name)
		}
		if f.Kind() == reflect.Pointer {
			wantAllTexts(t, f.Elem())
		}
	}
}

func TestCopyHead_BodyIsOverwritten_OnlyThePayloadChanges(t *testing.T) {
	want := Publish{Topic: "a/topic", Payload: "payload", ID: 7, QoS: 1, Properties: &Properties{
		PayloadUTF8: true, ContentType: "type", ResponseTopic: "answers", CorrelationData: "data",
		User: UserProperties("").With(UserProperty{Name: "name", Value: "value"}),
	}}
	wantAllTexts(t, reflect.ValueOf(want))
	f, _, err := Next(AppendPublish(nil, V5, &want), V5, 0)
	if err != nil {
		t.Fatal(err)
	}
	p, err := DecodePublish(V5, f.Flags, unsafe.String(&f.Body[0], len(f.Body)))
	if err != nil {
		t.Fatal(err)
	}
	p.CopyHead()
	for i := range f.Body {
		f.Body[i] = 'x'
	}
	if want.Payload = "xxxxxxx"; !reflect.DeepEqual(p, want) {
		t.Errorf("%+v %+v, want %+v %+v", p, *p.Properties, want, *want.Properties)
	}
}
