package apps

import "encoding/json"

// quoteJSON returns text as a JSON string.
func quoteJSON(text string) string {
	b, _ := json.Marshal(text) // a string always has a JSON form
	return string(b)
}

// jsonNumber reports whether text is a JSON number as it stands.
func jsonNumber(text string) bool {
	var n json.Number
	return json.Unmarshal([]byte(text), &n) == nil && n.String() == text
}
