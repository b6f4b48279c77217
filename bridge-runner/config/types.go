// Copyright 2026 The mqttbridge-operator Authors.
// SPDX-License-Identifier: Apache-2.0

package config

import (
	"bytes"
	"encoding/json"
	"fmt"
	"reflect"
	"slices"
	"strconv"
	"strings"

	"k8s.io/apimachinery/pkg/api/resource"
	"k8s.io/apimachinery/pkg/util/validation/field"

	"github.com/mqttbridge/mqttbridge-operator/api/v1alpha1"
)

// validateTypes refuses a value whose type differs from the type of its field, as the API
// server does. YAML decides the type of a value without quotes: protocolVersion: 5 is a
// number. It ignores unknown fields; Load refuses them later.
func validateTypes(asJSON []byte) field.ErrorList {
	decoder := json.NewDecoder(bytes.NewReader(asJSON))
	decoder.UseNumber()
	var tree any
	if decoder.Decode(&tree) != nil {
		return nil // the decoder of the manifest reports the error
	}
	if _, ok := tree.(map[string]any); !ok {
		return nil // the decoder reports it
	}
	return checkType(tree, reflect.TypeFor[v1alpha1.MQTTBridge](), nil)
}

var (
	unmarshaler = reflect.TypeFor[json.Unmarshaler]()
	quantity    = reflect.TypeFor[resource.Quantity]()
)

// checkType checks that a value has the type of its field.
func checkType(value any, t reflect.Type, path *field.Path) field.ErrorList {
	for t.Kind() == reflect.Pointer {
		t = t.Elem()
	}
	switch {
	case t == quantity:
		return checkQuantity(value, path)
	case value == nil || reflect.PointerTo(t).Implements(unmarshaler):
		return nil // times, for example, accept several types
	}
	switch t.Kind() {
	case reflect.Struct:
		return checkObject(value, t, path)
	case reflect.Map:
		object, ok := value.(map[string]any)
		if !ok {
			return notComposite(path, value, "must be an object; write a name and a value in each line, as in app: bridge")
		}
		var errs field.ErrorList
		for _, key := range sortedKeys(object) {
			errs = append(errs, checkType(object[key], t.Elem(), path.Key(key))...)
		}
		return errs
	case reflect.Slice:
		list, ok := value.([]any)
		if !ok {
			return notComposite(path, value, "must be a list; begin each of its items with '- '")
		}
		var errs field.ErrorList
		for i := range list {
			errs = append(errs, checkType(list[i], t.Elem(), path.Index(i))...)
		}
		return errs
	default:
		return checkScalar(value, t, path)
	}
}

const (
	// maxQuantity is the largest length of a quantity, and maxExponent of its exponent.
	maxQuantity = 64
	maxExponent = 2
)

// checkQuantity refuses quantities whose evaluation does not end: of 1e1000000000, it would compute each digit. The
// decoder reports other values that are no quantities.
func checkQuantity(value any, path *field.Path) field.ErrorList {
	var text string
	switch value := value.(type) {
	case string:
		text = value
	case json.Number:
		text = value.String()
	default:
		return nil
	}
	_, exponent, _ := strings.Cut(strings.ToLower(text), "e")
	if len(text) <= maxQuantity && len(strings.TrimLeft(exponent, "+-")) <= maxExponent {
		return nil
	}
	return wrongType(path, value, fmt.Sprintf("must be a quantity of at most %d characters, with an exponent of at most %d digits; write a number with a unit, as in 64Mi", maxQuantity, maxExponent))
}

func checkObject(value any, t reflect.Type, path *field.Path) field.ErrorList {
	object, ok := value.(map[string]any)
	if !ok {
		remedy := "must be an object with fields, such as " + exampleField(t)
		if _, list := value.([]any); list {
			remedy = "must be an object; remove the '- ' before its fields"
		}
		return notComposite(path, value, remedy)
	}
	var errs field.ErrorList
	for i := range t.NumField() {
		f := t.Field(i)
		name := fieldName(f)
		switch {
		case name == "" && f.Anonymous: // inline
			errs = append(errs, checkObject(object, f.Type, path)...)
		case name != "" && object[name] != nil:
			errs = append(errs, checkType(object[name], f.Type, path.Child(name))...)
		}
	}
	return errs
}

// exampleField returns the name of a field that an object needs: its URL if it has one, or else its first field.
func exampleField(t reflect.Type) string {
	if childType(t, "url") != nil {
		return "url"
	}
	return fieldName(t.Field(0))
}

// fieldName returns the name of a field in manifests. It is empty for a field without a
// name.
func fieldName(f reflect.StructField) string {
	name, _, _ := strings.Cut(f.Tag.Get("json"), ",")
	if name == "-" {
		return ""
	}
	return name
}

func checkScalar(value any, t reflect.Type, path *field.Path) field.ErrorList {
	number, isNumber := value.(json.Number)
	text, isString := value.(string)
	flag, isBool := value.(bool)
	switch t.Kind() {
	case reflect.String:
		switch {
		case isNumber:
			return wrongType(path, value, fmt.Sprintf("must be a string; write it in quotes, as in %q", maskedText(path, number.String())))
		case isBool:
			return wrongType(path, value, fmt.Sprintf("must be a string, and YAML reads %s without quotes as booleans; write the word in quotes", booleans(flag)))
		case !isString:
			return wrongType(path, value, "must be a string; write it on the same line as the field's name")
		}
	case reflect.Bool:
		if !isBool {
			return wrongType(path, value, "must be a boolean; write true or false without quotes")
		}
	case reflect.Int, reflect.Int32, reflect.Int64:
		_, err := strconv.ParseInt(number.String(), 10, t.Bits())
		switch {
		case isString:
			if _, err := strconv.ParseInt(text, 10, t.Bits()); err == nil {
				return wrongType(path, value, "must be a number; write it without quotes, as in "+text)
			}
			return wrongType(path, value, "must be a whole number; write only digits, without quotes or a unit")
		case !isNumber:
			return wrongType(path, value, "must be a whole number")
		case err != nil && strings.ContainsAny(number.String(), ".eE"):
			return wrongType(path, value, "must be a whole number")
		case err != nil:
			return wrongType(path, value, fmt.Sprintf("is out of range; write a number that fits in %d bits", t.Bits()))
		}
	default: // the API has no fields of other kinds
	}
	return nil
}

// booleans names words that YAML 1.1 reads as true, or as false.
func booleans(value bool) string {
	if value {
		return "yes, on and true"
	}
	return "no, off and false"
}

// wrongType returns the error for a value of the wrong type. It shows only numbers and
// booleans, because a string in a wrong place may be a secret.
func wrongType(path *field.Path, value any, remedy string) field.ErrorList {
	var bad any
	switch v := value.(type) {
	case json.Number:
		bad = plainNumber(path, v)
	case bool:
		bad = v
	case string:
		bad = "a string"
	case []any:
		bad = "a list"
	default:
		bad = "an object"
	}
	return field.ErrorList{field.Invalid(path, bad, remedy)}
}

// notComposite returns the error for a value that is no object, or no list. It shows no number, because a
// user may have written a password of digits in place of the reference to it.
func notComposite(path *field.Path, value any, remedy string) field.ErrorList {
	if _, isNumber := value.(json.Number); isNumber {
		return field.ErrorList{field.Invalid(path, "a number", remedy)}
	}
	return wrongType(path, value, remedy)
}

// plainNumber returns a number in the form in which an error shows it, without quotes.
func plainNumber(path *field.Path, v json.Number) any {
	if text := maskedText(path, v.String()); text != v.String() {
		return text
	}
	if whole, err := v.Int64(); err == nil {
		return whole
	}
	fraction, err := v.Float64()
	if err != nil {
		return v.String()
	}
	return fraction
}

// maskedText returns a value in the form in which an error may show it: it masks the values
// of headers.
func maskedText(path *field.Path, value string) string {
	if strings.HasSuffix(path.String(), "].value") {
		return v1alpha1.MaskedSecret
	}
	return value
}

func sortedKeys(object map[string]any) []string {
	keys := make([]string, 0, len(object))
	for key := range object {
		keys = append(keys, key)
	}
	slices.Sort(keys)
	return keys
}
