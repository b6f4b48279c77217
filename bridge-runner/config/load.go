// Copyright 2026 The mqttbridge-operator Authors.
// SPDX-License-Identifier: Apache-2.0

// Package config reads a bridge's manifest and the files that it refers to, and resolves the
// manifest into the [Settings] from which the parts of the runner are made.
//
// It promises that it refuses each manifest that the API server would refuse, and that the
// error names the field, the value and the remedy; so a runner that is started by hand is as
// safe as a runner in a cluster. It also promises to read a referenced Secret or ConfigMap
// when it is needed, so that an object that is created or changed later takes effect without
// a restart.
//
// Package manifest validates the manifest and compiles the rules.
package config

import (
	"bytes"
	"cmp"
	"errors"
	"fmt"
	"io"
	"os"
	"regexp"
	"strconv"
	"strings"

	yamlv3 "go.yaml.in/yaml/v3"
	"sigs.k8s.io/json"
	"sigs.k8s.io/yaml"

	"github.com/mqttbridge/mqttbridge-operator/api/v1alpha1"
	"github.com/mqttbridge/mqttbridge-operator/internal/manifest"
)

// maxManifestBytes is the largest size of a manifest, in bytes. The largest manifest that
// the schema allows is smaller than an object that Kubernetes stores.
const maxManifestBytes = 3 << 20

// Manifest is a valid manifest, with its defaults resolved.
type Manifest struct {
	*v1alpha1.MQTTBridge
	// Ignored are the paths of the fields that this version of the runner does not know.
	Ignored []string
}

// RefusedError reports a manifest that is invalid, or that needs a newer runner.
type RefusedError struct {
	// Generation is metadata.generation of the manifest, and TemplateHash the value of its
	// annotation [manifest.AnnotationTemplateHash].
	Generation   int64
	TemplateHash string
	Err          error
}

func (e *RefusedError) Error() string { return e.Err.Error() }

func (e *RefusedError) Unwrap() error { return e.Err }

// Load reads the MQTTBridge manifest at path. The file may also have objects of other APIs. It refuses unknown
// fields, except in a manifest that the operator has made: the operator may be newer than the runner.
func Load(path string) (*Manifest, error) {
	data, err := readManifest(path)
	if err != nil {
		return nil, err
	}
	documents, err := Documents(data)
	switch {
	case err != nil:
		return nil, fmt.Errorf("%s: %w", path, err)
	case len(documents) > 1:
		return nil, fmt.Errorf("%s: the file has %d MQTTBridges, in the lines %d and %d; write each one into a file of its own, and use --bridges DIRECTORY", path, len(documents), documents[0].Line(), documents[1].Line())
	}
	m, err := parseAfter(documents[0].Data, documents[0].before)
	switch refused := (*RefusedError)(nil); {
	case errors.As(err, &refused):
		return nil, fmt.Errorf("the manifest %s is invalid: %w", path, err)
	case err != nil:
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	return m, nil
}

func readManifest(path string) ([]byte, error) {
	info, err := os.Stat(path)
	if err != nil {
		return nil, fmt.Errorf("reading the manifest: %w", err)
	}
	if info.IsDir() {
		return nil, fmt.Errorf("the manifest %s is a directory; name a file with one MQTTBridge, or use --bridges DIRECTORY for all files of the directory", path)
	}
	if info.Size() > maxManifestBytes {
		return nil, fmt.Errorf("the manifest %s has %d bytes, which is more than the limit of %d bytes; the file must contain one MQTTBridge manifest", path, info.Size(), maxManifestBytes)
	}
	file, err := os.Open(path) //nolint:gosec // the file that the user names
	if err != nil {
		return nil, fmt.Errorf("reading the manifest: %w", err)
	}
	defer func() { _ = file.Close() }()
	data, err := io.ReadAll(io.LimitReader(file, maxManifestBytes+1)) // a device has no size, and no end
	switch {
	case err != nil:
		return nil, fmt.Errorf("reading the manifest: %w", err)
	case len(data) > maxManifestBytes:
		return nil, fmt.Errorf("the manifest %s has more than the limit of %d bytes; the file must contain one MQTTBridge manifest", path, maxManifestBytes)
	}
	return data, nil
}

// parse decodes and validates a manifest. The error is a RefusedError, unless data is no YAML object with
// apiVersion or kind.
func parse(data []byte) (*Manifest, error) { return parseAfter(data, 0) }

// parseAfter is parse for data that follows the given number of lines in its file.
func parseAfter(data []byte, before int) (*Manifest, error) {
	asJSON, err := toJSON(data, before)
	if err != nil {
		return nil, err
	}
	if err := checkObjectHead(asJSON); err != nil {
		return nil, err
	}
	var head head
	_ = json.UnmarshalCaseSensitivePreserveInts(asJSON, &head) // decode reports the error
	m, err := decode(asJSON, &head)
	if err != nil {
		hash, _ := head.Metadata.Annotations[manifest.AnnotationTemplateHash].(string)
		return nil, &RefusedError{Generation: head.Metadata.Generation, TemplateHash: hash, Err: err}
	}
	return m, nil
}

// checkObjectHead refuses data that is no object of Kubernetes. Otherwise each field of an MQTTBridge would
// have an error.
func checkObjectHead(asJSON []byte) error {
	var content any
	if json.UnmarshalCaseSensitivePreserveInts(asJSON, &content) != nil {
		return nil // decode reports the error
	}
	kind := ""
	switch content := content.(type) {
	case map[string]any:
		if content["apiVersion"] == nil && content["kind"] == nil {
			return fmt.Errorf("this object has neither apiVersion nor kind; begin an MQTTBridge with apiVersion: %s and kind: MQTTBridge", v1alpha1.GroupVersion)
		}
		return nil
	case []any:
		kind = "a list"
	case string:
		kind = "text"
	case bool:
		kind = "a boolean"
	case nil:
		kind = "null"
	default:
		kind = "a number"
	}
	return fmt.Errorf("this is %s and no MQTTBridge; name a file with a manifest of kind MQTTBridge (bridge-runner import reads the configurations of other brokers)", kind)
}

// toJSON reads YAML as the API server does: field names are case-sensitive, and errors name the
// path of an unknown field. before is the number of lines before data in its file.
func toJSON(data []byte, before int) ([]byte, error) {
	err := checkAliases(data)
	var asJSON []byte
	if err == nil {
		asJSON, err = yaml.YAMLToJSONStrict(data)
	}
	if err == nil {
		return asJSON, nil
	}
	text := addLines(manifest.WithoutAlias(err).Error(), before)
	switch { // errors that contain a value, which may be a secret
	case strings.Contains(text, "cannot decode"):
		return nil, errors.New("a value has a tag such as !!int that it does not fit; remove the tag, or write the value in quotes")
	case strings.Contains(text, "map key"):
		return nil, errors.New("the key of a field is no text; if a value begins with { or [, write the value in quotes")
	case strings.Contains(text, "cannot start any token"):
		text += "; indent with spaces and not with tabs, and write a value that begins with @, % or ` in quotes"
	}
	return nil, errors.New(strings.NewReplacer(":\n  ", ": ", "\n  ", "; ").Replace(text)) // several errors are several lines
}

// lineNumber matches a line that an error of the YAML parser names.
var lineNumber = regexp.MustCompile(`\bline (\d+):`)

// addLines adds a number of lines to the lines that an error of the YAML parser names.
func addLines(text string, before int) string {
	return lineNumber.ReplaceAllStringFunc(text, func(named string) string {
		line, err := strconv.Atoi(lineNumber.FindStringSubmatch(named)[1])
		if err != nil { // not reached: no file has that many lines
			return named
		}
		return fmt.Sprintf("line %d:", before+line)
	})
}

// checkAliases refuses YAML whose aliases stand for more than a manifest has. The parser bounds the number of values
// that aliases repeat, but not their size: a text of one megabyte, repeated ten thousand times, would become JSON of
// ten gigabytes.
func checkAliases(data []byte) error {
	if bytes.IndexByte(data, '*') < 0 || bytes.IndexByte(data, '&') < 0 {
		return nil
	}
	var document yamlv3.Node
	if err := yamlv3.Unmarshal(data, &document); err != nil {
		return err
	}
	hasAliases := false
	if size := expandedSize(&document, map[*yamlv3.Node]int{}, &hasAliases); hasAliases && size > maxManifestBytes {
		return fmt.Errorf("the aliases (*) stand for values with more than %d bytes in all; write the values in place of the aliases", maxManifestBytes)
	}
	return nil
}

// expandedSize returns the size of the texts of a value whose aliases are replaced by their values, or a size above
// maxManifestBytes. sizes are the sizes of the values that are known.
func expandedSize(n *yamlv3.Node, sizes map[*yamlv3.Node]int, hasAliases *bool) int {
	if size, ok := sizes[n]; ok {
		return size
	}
	const tooLarge = maxManifestBytes + 1
	sizes[n] = tooLarge // of an alias within its own value, which the parser refuses later
	size := len(n.Value) + 1
	if n.Kind == yamlv3.AliasNode {
		*hasAliases = true
		size = expandedSize(n.Alias, sizes, hasAliases)
	}
	for _, child := range n.Content {
		size = min(size+expandedSize(child, sizes, hasAliases), tooLarge)
	}
	sizes[n] = size
	return size
}

// head is the part of a manifest that is the same in all versions of the protocol.
type head struct {
	Metadata struct {
		Generation  int64          `json:"generation"`
		Annotations map[string]any `json:"annotations"`
	} `json:"metadata"`
}

func decode(asJSON []byte, head *head) (*Manifest, error) {
	// The version is checked first, because a later version may give a field another type.
	version, ofOperator := head.Metadata.Annotations[manifest.AnnotationVersion].(string)
	if ofOperator {
		if err := manifest.CheckVersion(version); err != nil {
			return nil, err
		}
	}
	if err := validateTypes(asJSON).ToAggregate(); err != nil {
		return nil, err
	}
	bridge := &v1alpha1.MQTTBridge{}
	unknown, err := json.UnmarshalStrict(asJSON, bridge)
	var ignored []string
	if ofOperator {
		ignored, unknown = pathsOf(unknown), nil
	}
	if err := errors.Join(append(withRemedies(unknown, asJSON), err)...); err != nil {
		return nil, err
	}
	if err := manifest.Validate(bridge).ToAggregate(); err != nil {
		return nil, err
	}
	return &Manifest{MQTTBridge: bridge.WithDefaults(), Ignored: ignored}, nil
}

// withRemedies adds the remedies to the errors of json.UnmarshalStrict about unknown fields.
func withRemedies(unknown []error, asJSON []byte) []error {
	if len(unknown) == 0 {
		return nil
	}
	remedies := map[string]string{}
	for _, problem := range unknownFields(asJSON) {
		remedies[problem.Field] = strings.TrimPrefix(problem.Detail, noSuchField)
	}
	out := make([]error, len(unknown))
	for i, path := range pathsOf(unknown) {
		out[i] = fmt.Errorf("%w; %s", unknown[i], cmp.Or(remedies[path], generalRemedy))
	}
	return out
}

// pathsOf returns the paths of the unknown fields that the errors of json.UnmarshalStrict name.
func pathsOf(unknown []error) []string {
	out := make([]string, 0, len(unknown))
	for _, err := range unknown {
		quoted := strings.TrimPrefix(err.Error(), "unknown field ")
		if path, err := strconv.Unquote(quoted); err == nil {
			quoted = path
		}
		out = append(out, quoted)
	}
	return out
}
