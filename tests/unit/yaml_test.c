/* YAML to settings: shapes, positions, and every mistake with its place and in plain words. */
#include "tests/unit/unit.h"

#include <string.h>

#include "lib/buf.h"
#include "lib/error.h"
#include "lib/setting.h"
#include "lib/yaml.h"

struct outcome {
	struct settings settings;
	struct problems problems;
	struct error err;
	int status;
};

static void read_bytes(struct outcome *o, const char *text, size_t length)
{
	*o = (struct outcome){ 0 };
	o->status = yaml_read(&o->settings, text, length, "f.yaml", &o->problems, &o->err);
}

static void read_text(struct outcome *o, const char *text)
{
	read_bytes(o, text, strlen(text));
}

static void outcome_release(struct outcome *o)
{
	settings_release(&o->settings);
	problems_release(&o->problems);
}

static void expect(const char *text, const char *problems)
{
	struct outcome o;

	read_text(&o, text);
	assert_string_equal(buf_text(&o.problems.text), problems);
	assert_int_equal(o.status, -1);
	outcome_release(&o);
}

static void nested_keys_become_dotted_with_places(void **state)
{
	struct outcome o;
	const struct setting *lr, *hidden;

	(void)state;
	read_text(&o, "name: x\ntrain:\n  optimizer: {lr: 0.1}\nhidden:\n  - 256\n  - 'a b'\n");
	assert_int_equal(o.status, 0);
	assert_int_equal(settings_find(&o.settings, "train")->kind, SETTING_SECTION);
	lr = settings_find(&o.settings, "train.optimizer.lr");
	assert_string_equal(lr->values[0], "0.1");
	assert_int_equal(lr->place.line, 3);
	assert_int_equal(lr->place.column, 15);
	assert_int_equal(lr->value_place.column, 19);
	hidden = settings_find(&o.settings, "hidden");
	assert_int_equal(hidden->kind, SETTING_LIST);
	assert_int_equal(hidden->count, 2);
	assert_string_equal(hidden->values[1], "a b");
	assert_int_equal(hidden->value_place.line, 5);
	outcome_release(&o);
}

static void a_list_with_mappings_has_a_key_per_item(void **state)
{
	struct outcome o;

	(void)state;
	read_text(&o, "hosts:\n  - name: a\n    slots: 2\n  - b\n  - [c, d]\n");
	assert_int_equal(o.status, 0);
	assert_int_equal(settings_find(&o.settings, "hosts")->kind, SETTING_SECTION);
	assert_int_equal(settings_find(&o.settings, "hosts.0")->kind, SETTING_SECTION);
	assert_string_equal(settings_find(&o.settings, "hosts.0.slots")->values[0], "2");
	assert_int_equal(settings_find(&o.settings, "hosts.0.slots")->place.line, 3);
	assert_string_equal(settings_find(&o.settings, "hosts.1")->values[0], "b");
	assert_int_equal(settings_find(&o.settings, "hosts.2")->count, 2);
	outcome_release(&o);
}

static void printed_settings_read_back_the_same(void **state)
{
	struct buf first = { 0 }, second = { 0 };
	struct outcome o;

	(void)state;
	read_text(&o, "a: \"x: # y\"\nb: {c: [1, 'two, 2'], d: [], e: -1}\nf: \"l1\\nl2\"\n");
	settings_print(&o.settings, &first);
	outcome_release(&o);
	read_text(&o, buf_text(&first));
	assert_int_equal(o.status, 0);
	assert_string_equal(settings_find(&o.settings, "b.c")->values[1], "two, 2");
	assert_string_equal(settings_find(&o.settings, "f")->values[0], "l1\nl2");
	settings_print(&o.settings, &second);
	assert_string_equal(buf_text(&first), buf_text(&second));
	buf_release(&first);
	buf_release(&second);
	outcome_release(&o);
}

static void empty_texts_are_refused(void **state)
{
	(void)state;
	expect("", "f.yaml: is empty\n");
	expect("# nothing\n\n", "f.yaml: is empty\n");
	expect("---\n", "f.yaml: is empty\n");
}

static void other_than_a_mapping_is_refused(void **state)
{
	(void)state;
	expect("- a\n- b\n", "f.yaml:1:1: must be 'key: value' lines, not a list\n");
	expect("node1 slots=2\n", "f.yaml:1:1: must be 'key: value' lines, not a plain text\n");
}

static void binary_is_not_text(void **state)
{
	static const char nul[] = "name: x\nab\0cd\n";
	struct outcome o;

	(void)state;
	expect("\x7f"
	       "ELF\x02",
	       "f.yaml:1:1: is not text in UTF-8\n");
	expect("name: x\nb: \xff\xfe\n", "f.yaml:2:4: is not text in UTF-8\n");
	expect("name: \xe2\x28\xa1\n", "f.yaml:1:8: is not text in UTF-8\n");
	read_bytes(&o, nul, sizeof(nul) - 1);
	assert_string_equal(buf_text(&o.problems.text), "f.yaml:2:3: is not text in UTF-8\n");
	outcome_release(&o);
}

static void tabs_may_not_indent(void **state)
{
	(void)state;
	expect("train:\n\tepochs: 1\n", "f.yaml:2:1: tabs may not indent; use spaces\n");
	expect("h\xc3\xa9: \xc3\xa9\ntrain:\n  a: 1\n \tb: 1\n",
	       "f.yaml:4:2: tabs may not indent; use spaces\n");
}

static void syntax_errors_are_in_plain_words(void **state)
{
	(void)state;
	expect("a: b: c\n", "f.yaml:1:5: unexpected ':'; indent the key as its neighbours, or "
			    "quote the text\n");
	expect("a: {b: 1\nc: 2\n", "f.yaml:2:2: a ',' or '}' is missing before this\n");
	expect("a: [1, 2\n", "f.yaml:2:1: a ',' or ']' is missing before this\n");
	expect("a: 'x\n", "f.yaml:2:1: the quoted text has no end\n");
	expect("a: 1\nb\n", "f.yaml:3:1: a line without ':'; write 'key: value'\n");
	expect("a: 1\n  b: 2\n", "f.yaml:2:4: unexpected ':'; indent the key as its neighbours, "
				 "or quote the text\n");
	expect("a:\n    b: 1\n  c: 2\n", "f.yaml:3:3: cannot be read as 'key: value'; check the "
					 "indentation of this line\n");
	expect("a: *x\n", "f.yaml:1:4: the alias refers to an anchor that is not there\n");
}

static void all_problems_come_at_once(void **state)
{
	(void)state;
	expect("train: {lr: 1}\nname:\na.b: 1\ntrain: 2\n? [x]\n: 1\nq: \"\\x1b[31m\"\nz: !inc x\n"
	       "l: [1, ~]\n<<: {a: 1}\n",
	       "f.yaml:2:6: 'name' needs a value\n"
	       "f.yaml:3:1: key 'a.b' has a dot in it; write nested keys on lines of their own\n"
	       "f.yaml:4:1: duplicate key 'train'; first in line 1\n"
	       "f.yaml:5:3: a key must be plain text of at most 128 bytes\n"
	       "f.yaml:7:4: q: the text has a control character in it\n"
	       "f.yaml:8:4: z: tags such as '!inc' are not understood\n"
	       "f.yaml:9:8: 'l' needs a value\n"
	       "f.yaml:10:1: merging with '<<' is not supported; repeat the keys\n");
}

static void a_second_document_is_refused(void **state)
{
	(void)state;
	expect("a: 1\n---\nb: 2\n", "f.yaml:2:1: a second document; a file holds one\n");
}

static void an_alias_stands_for_its_anchor(void **state)
{
	struct outcome o;

	(void)state;
	read_text(&o, "a: &x {user: me, port: 22}\nb: *x\n");
	assert_int_equal(o.status, 0);
	assert_string_equal(settings_find(&o.settings, "b.port")->values[0], "22");
	outcome_release(&o);
}

static void aliases_cannot_explode(void **state)
{
	struct buf text = { 0 };
	struct outcome o;

	(void)state;
	buf_addf(&text, "k0: &k0 {a: 1}\n");
	for (int i = 1; i < 15; i++)
		buf_addf(&text, "k%d: &k%d [*k%d, *k%d, *k%d, *k%d]\n", i, i, i - 1, i - 1, i - 1,
			 i - 1);
	read_text(&o, buf_text(&text));
	assert_int_equal(o.status, -1);
	assert_non_null(strstr(buf_text(&o.problems.text), "too large"));
	assert_in_range(o.settings.count, 1, YAML_KEYS);
	outcome_release(&o);
	buf_release(&text);

	expect("a: &a [*a]\n", "f.yaml:1:4: nested more than 16 deep\n");
	buf_addf(&text, "a: &a %0*d\nb: [*a", YAML_BYTES / 2, 1);
	for (int i = 0; i < 10000; i++)
		buf_addf(&text, ", *a");
	buf_addf(&text, "]\n");
	read_text(&o, buf_text(&text));
	assert_string_equal(buf_text(&o.problems.text), "f.yaml: too large: more than 10000 keys "
							"or 8388608 bytes of text\n");
	outcome_release(&o);
	buf_release(&text);
}

static void huge_texts_are_refused(void **state)
{
	struct buf text = { 0 };
	struct outcome o;

	(void)state;
	for (int i = 0; i < 20000; i++)
		buf_addf(&text, "k%d: 1\n", i);
	read_text(&o, buf_text(&text));
	assert_int_equal(o.status, -1);
	assert_int_equal(o.problems.count, 1);
	outcome_release(&o);
	memset(buf_reserve(&text, YAML_BYTES), ' ', YAML_BYTES);
	text.length += YAML_BYTES;
	read_bytes(&o, text.data, text.length);
	assert_string_equal(o.err.text, "'f.yaml' is larger than 1048576 bytes");
	outcome_release(&o);
	buf_release(&text);
}

static void names_may_have_dots_and_no_value(void **state)
{
	const char *text = "hosts:\n  a.example.com:\n  b: {slots: 2}\n";
	struct outcome o = { 0 };

	(void)state;
	assert_int_equal(
		yaml_read_names(&o.settings, text, strlen(text), "f.yaml", &o.problems, &o.err), 0);
	assert_int_equal(o.settings.count, 4);
	assert_string_equal(o.settings.entries[1].key, "hosts.a\x1f"
						       "example\x1f"
						       "com");
	assert_int_equal(o.settings.entries[1].kind, SETTING_SECTION);
	assert_string_equal(yaml_show_dots(o.settings.entries[1].key), "hosts.a.example.com");
	assert_string_equal(o.settings.entries[3].key, "hosts.b.slots");
	outcome_release(&o);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(names_may_have_dots_and_no_value),
		cmocka_unit_test(nested_keys_become_dotted_with_places),
		cmocka_unit_test(a_list_with_mappings_has_a_key_per_item),
		cmocka_unit_test(printed_settings_read_back_the_same),
		cmocka_unit_test(empty_texts_are_refused),
		cmocka_unit_test(other_than_a_mapping_is_refused),
		cmocka_unit_test(binary_is_not_text),
		cmocka_unit_test(tabs_may_not_indent),
		cmocka_unit_test(syntax_errors_are_in_plain_words),
		cmocka_unit_test(all_problems_come_at_once),
		cmocka_unit_test(a_second_document_is_refused),
		cmocka_unit_test(an_alias_stands_for_its_anchor),
		cmocka_unit_test(aliases_cannot_explode),
		cmocka_unit_test(huge_texts_are_refused),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
