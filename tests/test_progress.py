"""What a run says while it works."""

from __future__ import annotations

from dragoman.progress import progress


class TestProgress:
    def show(self, *done: int, note: str = "") -> None:
        with progress("working [so to say]", 3) as shown:
            for number in done:
                shown.update(number, note)

    def test_elsewhere_than_on_a_terminal_it_is_a_line_now_and_then(self, capsys):
        self.show(1, 2, 3, 3, note="nll 1")
        out, err = capsys.readouterr()
        assert (out, err) == ("", "working [so to say]: 1/3 nll 1\nworking [so to say]: 3/3 nll 1\n")

    def test_on_a_terminal_it_is_a_bar_that_takes_names_as_they_are(self, capsys, monkeypatch):
        monkeypatch.setenv("FORCE_COLOR", "1")
        monkeypatch.setenv("COLUMNS", "200")
        self.show(1, 3, note="critic[/flat] 2")
        out, err = capsys.readouterr()
        assert out == ""
        assert "working [so to say]" in err
        assert "3/3" in err
        assert "critic[/flat] 2" in err

    def test_one_of_several_processes_speaks(self, capsys, monkeypatch):
        monkeypatch.setenv("RANK", "1")
        self.show(1, 3)
        assert capsys.readouterr() == ("", "")
