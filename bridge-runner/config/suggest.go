// Copyright 2026 The mqttbridge-operator Authors.
// SPDX-License-Identifier: Apache-2.0

package config

import (
	"reflect"
	"regexp"
	"slices"
	"strings"
	"sync"
	"unicode"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/validation/field"

	"github.com/mqttbridge/mqttbridge-operator/api/v1alpha1"
)

// maxSuggestions is the largest number of fields that a remedy names. More of them do not help.
const maxSuggestions = 3

// generalRemedy is the remedy for an unknown field whose name resembles no field.
const generalRemedy = "correct its name or remove it (bridge-runner convert corrects the names of earlier releases)"

// maxTypedName is the length in bytes of the longest name that is compared with the names of fields.
const maxTypedName = 64

// remedyFor returns the remedy for a field that an object of type t has, and the API does not have: a field of the
// object with a similar name, a field of this name in another object, or else a general remedy. object is the path of
// the object, nil for the bridge itself.
func remedyFor(name string, t reflect.Type, object *field.Path) string {
	if nested := nestedForm(name, t); nested != "" {
		return "write its parts as nested fields, as in " + nested
	}
	isTop := object == nil || object.String() == "spec"
	if isTop && childType(reflect.TypeFor[metav1.ObjectMeta](), name) != nil {
		return "move it to metadata." + name + ", or remove it"
	}
	if names := similarFields(name, t); len(names) > 0 {
		return "correct its name to " + alternatives(names) + ", or remove it"
	}
	if paths := fieldElsewhere(name, object); len(paths) > 0 {
		return "move it to " + alternatives(paths) + ", or remove it"
	}
	return generalRemedy
}

// alternatives joins one or more words, as in "a, b or c".
func alternatives(words []string) string {
	last := len(words) - 1
	if last == 0 {
		return words[0]
	}
	return strings.Join(words[:last], ", ") + " or " + words[last]
}

// nestedForm returns the YAML of the nested fields that a name such as retry.maxSeconds stands for. It is empty if the
// name is no path of fields in an object of type t.
func nestedForm(name string, t reflect.Type) string {
	steps := strings.Split(name, ".")
	if len(steps) == 1 || len(name) > maxTypedName {
		return ""
	}
	for _, step := range steps {
		for t.Kind() == reflect.Pointer {
			t = t.Elem()
		}
		if t.Kind() != reflect.Struct {
			return ""
		}
		if t = childType(t, step); t == nil {
			return ""
		}
	}
	return strings.Join(steps, ": {") + ": ..." + strings.Repeat("}", len(steps)-1)
}

// similarFields returns the names of the fields of t that a user has probably meant by name, in the order of their
// declaration: the names with the fewest changed characters, or else the names that contain it. It returns none if
// there are many.
func similarFields(name string, t reflect.Type) []string {
	const shortestPart = 4
	typed := plainName(name)
	if len(typed) < 2 || len(name) > maxTypedName {
		return nil
	}
	var closest, longer []string
	fewest := max(1, len(typed)/3)
	for _, n := range fieldNames(t) {
		plain := plainName(n)
		if len(typed) >= shortestPart && strings.Contains(plain, typed) {
			longer = append(longer, n)
		}
		if len(plain)-len(typed) > fewest || len(typed)-len(plain) > fewest {
			continue
		}
		changes := editDistance(typed, plain)
		if changes < fewest {
			closest, fewest = nil, changes
		}
		if changes == fewest {
			closest = append(closest, n)
		}
	}
	for _, names := range [][]string{closest, longer} {
		if len(names) > 0 && len(names) <= maxSuggestions {
			return names
		}
	}
	return nil
}

// plainName returns the letters and digits of a name in lower case, so that client_id is the same as clientID.
func plainName(name string) string {
	return strings.Map(func(r rune) rune {
		if unicode.IsLetter(r) || unicode.IsDigit(r) {
			return unicode.ToLower(r)
		}
		return -1
	}, name)
}

// fieldNames returns the names of the fields of a struct in manifests.
func fieldNames(t reflect.Type) []string {
	var names []string
	for i := range t.NumField() {
		f := t.Field(i)
		if name := fieldName(f); name != "" {
			names = append(names, name)
		} else if f.Anonymous { // inline
			names = append(names, fieldNames(f.Type)...)
		}
	}
	return names
}

// editDistance returns the number of bytes to insert, to remove, to replace or to exchange with the next byte, until a
// is b.
func editDistance(a, b string) int {
	var before []int // the row before the previous row
	previous := make([]int, len(b)+1)
	for j := range previous {
		previous[j] = j
	}
	for i := 1; i <= len(a); i++ {
		row := make([]int, len(b)+1)
		row[0] = i
		for j := 1; j <= len(b); j++ {
			replaced := previous[j-1]
			if a[i-1] != b[j-1] {
				replaced++
			}
			row[j] = min(replaced, previous[j]+1, row[j-1]+1)
			if i > 1 && j > 1 && a[i-1] == b[j-2] && a[i-2] == b[j-1] {
				row[j] = min(row[j], before[j-2]+1)
			}
		}
		before, previous = previous, row
	}
	return previous[len(b)]
}

// place is a field in the spec of a bridge.
type place struct {
	// path is the path of the field, such as spec.remote.backups[].url.
	path string
	// owner is the struct that declares the field.
	owner reflect.Type
}

// depth is the number of names in the path.
func (p place) depth() int { return strings.Count(p.path, ".") }

// places returns all fields of the spec by their names. Objects of Kubernetes in the spec, such as affinity, are
// places, and their fields are not.
var places = sync.OnceValue(func() map[string][]place {
	all := map[string][]place{}
	addPlaces(all, reflect.TypeFor[v1alpha1.MQTTBridgeSpec](), "spec")
	return all
})

func addPlaces(all map[string][]place, t reflect.Type, path string) {
	for t.Kind() == reflect.Pointer || t.Kind() == reflect.Slice {
		if t.Kind() == reflect.Slice {
			path += "[]"
		}
		t = t.Elem()
	}
	if t.Kind() != reflect.Struct || t.PkgPath() != reflect.TypeFor[v1alpha1.MQTTBridge]().PkgPath() {
		return
	}
	for i := range t.NumField() {
		f := t.Field(i)
		name := fieldName(f)
		if name == "" {
			continue
		}
		all[name] = append(all[name], place{path + "." + name, t})
		addPlaces(all, f.Type, path+"."+name)
	}
}

var indexPattern = regexp.MustCompile(`\[\d+\]`)

// fieldElsewhere returns the paths of fields that have the name, and that a user has probably meant: below the object,
// or else of an object that contains it, or else anywhere in the spec if all fields of this name have one meaning. It
// returns none if there are many.
func fieldElsewhere(name string, object *field.Path) []string {
	all := places()[name]
	own := ""
	if object != nil {
		own = object.String()
	}
	general := indexPattern.ReplaceAllString(own, "[]")
	below := slices.DeleteFunc(slices.Clone(all), func(p place) bool { return own != "" && !strings.HasPrefix(p.path, general+".") })
	if len(below) > 0 {
		paths := shallowest(below)
		for i := range paths {
			paths[i] = own + strings.TrimPrefix(paths[i], general)
		}
		return paths
	}
	if path := fieldAbove(name, own, all); path != "" {
		return []string{path}
	}
	if slices.ContainsFunc(all, func(p place) bool { return p.owner != all[0].owner || strings.Contains(p.path, "[]") }) {
		return nil
	}
	return shallowest(nearest(all, general))
}

// fieldAbove returns the path of the field of the nearest object that contains the object, and has a field of the name.
// It is empty if there is none.
func fieldAbove(name, object string, all []place) string {
	for strings.Contains(object, ".") {
		object = object[:strings.LastIndex(object, ".")]
		path := indexPattern.ReplaceAllString(object, "[]") + "." + name
		if slices.ContainsFunc(all, func(p place) bool { return p.path == path }) {
			return object + "." + name
		}
	}
	return ""
}

// nearest returns the places whose paths have the most names in common with the path of an object.
func nearest(all []place, object string) []place {
	var out []place
	most := 0
	for _, p := range all {
		common := commonNames(p.path, object)
		if common > most {
			out, most = nil, common
		}
		if common == most {
			out = append(out, p)
		}
	}
	return out
}

// commonNames returns the number of names at the beginning of two paths that are equal.
func commonNames(a, b string) int {
	x, y := strings.Split(a, "."), strings.Split(b, ".")
	n := 0
	for n < min(len(x), len(y)) && x[n] == y[n] {
		n++
	}
	return n
}

// shallowest returns the paths of the places with the fewest names. It returns none if there are many.
func shallowest(all []place) []string {
	var paths []string
	depth := 0
	for _, p := range all {
		if len(paths) > 0 && p.depth() > depth {
			continue
		}
		if p.depth() < depth {
			paths = nil
		}
		paths, depth = append(paths, p.path), p.depth()
	}
	if len(paths) > maxSuggestions {
		return nil
	}
	return paths
}
