from mlic.tables import text_table


def test_words_stand_left_and_numbers_right():
    assert text_table(["class", "n"], [["a", 5], ["longer", 12]]) == "class    n\na        5\nlonger  12\n"


def test_what_is_not_defined_is_not_a_number_but_na():
    assert text_table(["AP"], [[float("nan")], [0.25]]) == "    AP\n   n/a\n0.2500\n"


def test_a_table_without_rows_is_its_header():
    assert text_table(["class", "AP"], []) == "class  AP\n"


def test_a_name_of_two_lines_takes_one():
    assert text_table(["class", "n"], [["a\nb", 5]]) == "class  n\na b    5\n"
