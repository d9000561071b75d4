"""An answer's Markdown as messages: what is whole is sealed, and the last part grows.

::

    syntax  paper  columns  writer          Markdown's events, and text with entities made of them
    rich  markdown                          the HTML of a rich message; both forms of a whole text
    tail  forms                             what of a half-written text can be shown, and how full a message is of it
    cutting  saw  layout                    where a part ends, and the parts of one growing answer
"""
