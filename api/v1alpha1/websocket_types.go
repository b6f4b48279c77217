// Copyright 2026 The mqttbridge-operator Authors.
// SPDX-License-Identifier: Apache-2.0

package v1alpha1

// WebSocket adds headers and a query to the HTTP request that opens a WebSocket connection.
// Values from Secrets are read at each attempt to connect, so that a rotated value is used
// without a restart.
type WebSocket struct {
	// headers are added to the request, such as Authorization or x-api-key. Each name may
	// occur once; upper and lower case are not distinguished. Default: none.
	// +optional
	// +listType=atomic
	// +kubebuilder:validation:MinItems=1
	// +kubebuilder:validation:MaxItems=16
	// +kubebuilder:validation:XValidation:rule="self.all(h, self.exists_one(o, o.name.lowerAscii() == h.name.lowerAscii()))",reason=FieldValueInvalid,message="two headers have the same name (upper and lower case are not distinguished); keep one of them"
	Headers []Header `json:"headers,omitempty"`

	// queryFrom names the key of a Secret that holds a query, such as token=abc&x-id=1, in
	// percent encoding (a space is %20). The bridge appends it to the query in the URL,
	// separated by &. Default: none.
	// +optional
	QueryFrom *ValueSource `json:"queryFrom,omitempty"`
}

// Header is a header field of an HTTP request.
//
// +kubebuilder:validation:XValidation:rule="has(self.value) != has(self.valueFrom)",reason=FieldValueInvalid,message="a header needs either value or valueFrom; set exactly one of them"
type Header struct {
	// name is the name of the header field.
	// +required
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=128
	// +kubebuilder:validation:XValidation:rule="self.matches('^[-!#$%&*+.^_|~0-9A-Za-z]+$')",reason=FieldValueInvalid,message="the name of a header must consist of letters, digits and the characters ! # $ % & * + - . ^ _ | ~, as in x-api-key"
	// +kubebuilder:validation:XValidation:rule="!self.matches('(?i)^(host|upgrade|connection|content-length|transfer-encoding|trailer|te|expect|keep-alive|sec-websocket-.*)$')",reason=FieldValueInvalid,message="the headers that control the HTTP connection, such as Host, Upgrade, Connection, Content-Length and Sec-WebSocket-*, cannot be set; remove this header"
	Name string `json:"name,omitempty"`

	// value is the value of the header field. Every user who can read the bridge can read
	// it; put a secret into valueFrom.
	// +optional
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=1024
	// +kubebuilder:validation:XValidation:rule="!self.matches('[[:cntrl:]]')",reason=FieldValueInvalid,message="the value of a header must not contain control characters, such as line ends; remove them"
	Value string `json:"value,omitempty"`

	// valueFrom names the key of a Secret that holds the value. Line breaks at the end of
	// the Secret's value are ignored.
	// +optional
	ValueFrom *ValueSource `json:"valueFrom,omitempty"`
}

// ValueSource is the source of a value.
type ValueSource struct {
	// secretKeyRef names a key of a Secret in the bridge's namespace.
	// +required
	SecretKeyRef SecretKeyReference `json:"secretKeyRef,omitzero"`
}

// SecretKeyReference names a key of a Secret in the bridge's namespace.
type SecretKeyReference struct {
	// name is the name of the Secret.
	// +required
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=253
	// +kubebuilder:validation:XValidation:rule="self.matches('^[a-z0-9]([-a-z0-9.]*[a-z0-9])?$')",reason=FieldValueInvalid,message="name must be the name of a Kubernetes object: lower case letters, digits, '-' and '.', and a letter or digit at both ends"
	Name string `json:"name,omitempty"`

	// key is the key of the Secret.
	// +required
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=253
	// +kubebuilder:validation:XValidation:rule="self.matches('^[-._a-zA-Z0-9]+$') && self != '.' && !self.startsWith('..')",reason=FieldValueInvalid,message="key must be a key of a Secret: letters, digits, '-', '_' and '.'; it must not be '.' or start with '..'"
	Key string `json:"key,omitempty"`
}
